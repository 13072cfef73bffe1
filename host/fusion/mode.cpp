#include "fusion/mode.h"

#include <fmt/format.h>

#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::fusion {
namespace {

constexpr std::array kModes = {Mode::kPaper, Mode::kMasked, Mode::kMixture, Mode::kLogitUnion};

}  // namespace

std::string_view name(Mode mode) {
  switch (mode) {
    case Mode::kPaper:
      return "paper";
    case Mode::kMasked:
      return "masked";
    case Mode::kMixture:
      return "mixture";
    case Mode::kLogitUnion:
      return "logit-union";
  }
  throw std::logic_error("no such fusion mode");
}

Mode parse_mode(std::string_view text) {
  std::vector<std::string> names;
  for (const Mode mode : kModes) {
    if (text == name(mode)) return mode;
    names.emplace_back(name(mode));
  }
  throw Error(
      "E_CONFIG",
      fmt::format("fusion \"{}\" is unknown{}", escaped(text, 40), did_you_mean(text, names)),
      "known are " + join(names, ", "));
}

std::string_view name(OpinionPool pool) {
  return pool == OpinionPool::kLinear ? "linear" : "logarithmic";
}

OpinionPool parse_opinion_pool(std::string_view text) {
  for (const OpinionPool pool : {OpinionPool::kLinear, OpinionPool::kLogarithmic}) {
    if (text == name(pool)) return pool;
  }
  throw Error("E_CONFIG",
              fmt::format("pool is \"{}\", expected linear or logarithmic", escaped(text, 40)));
}

bool is_task_agnostic(Mode mode) { return mode == Mode::kMixture || mode == Mode::kLogitUnion; }

}  // namespace moecollab::fusion
