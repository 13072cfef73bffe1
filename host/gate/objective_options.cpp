#include "gate/objective_options.h"

#include <fmt/format.h>

#include <stdexcept>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::gate {

std::string_view name(EntropySign sign) {
  switch (sign) {
    case EntropySign::kLiteral:
      return "literal";
    case EntropySign::kExplore:
      return "explore";
  }
  throw std::logic_error("no such entropy sign");
}

EntropySign parse_entropy_sign(std::string_view text, std::string_view what) {
  for (const EntropySign sign : {EntropySign::kLiteral, EntropySign::kExplore}) {
    if (text == name(sign)) return sign;
  }
  throw Error(
      "E_CONFIG", fmt::format("{} is \"{}\", expected literal or explore", what, escaped(text, 40)),
      "literal adds lambda1 times the entropy as the paper prints it, explore subtracts it");
}

void validate(const ObjectiveOptions& options) {
  const auto check = [](const char* name, double value) {
    if (!(value >= 0 && value <= kMaxTermWeight)) {
      throw Error("E_CONFIG", fmt::format("{} is {}, expected a number from 0 to {:g}", name, value,
                                          kMaxTermWeight));
    }
  };
  check("lambda1", options.lambda1);
  check("lambda2", options.lambda2);
  check("free-bits", options.free_bits);
  check("switch", options.switch_load);
  check("importance-cv2", options.importance_cv2);
  check("z-loss", options.z_loss);
  if (options.balance_window < 0 || options.balance_window > 1'000'000) {
    throw Error("E_CONFIG", fmt::format("balance-window is {}, expected 0 to 1000000 batches",
                                        options.balance_window));
  }
}

}  // namespace moecollab::gate
