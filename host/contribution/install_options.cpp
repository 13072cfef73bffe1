#include "contribution/install_options.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::contribution {
namespace {

constexpr std::pair<std::string_view, GateStep> kGateSteps[] = {
    {"none", GateStep::kNone}, {"grow", GateStep::kGrow}, {"train-gate", GateStep::kTrain}};

}  // namespace

std::string_view name(GateStep step) {
  for (const auto& [word, value] : kGateSteps)
    if (value == step) return word;
  return "";
}

GateStep parse_gate_step(std::string_view text, std::string_view what) {
  for (const auto& [word, step] : kGateSteps)
    if (word == text) return step;
  throw Error("E_CONFIG", fmt::format("{} is \"{}\", expected none, grow or train-gate", what,
                                      escaped(std::string(text), 40)));
}

}  // namespace moecollab::contribution
