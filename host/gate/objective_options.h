// The settings of equation (3) and of the further terms of the objective.
#pragma once

#include <cstdint>
#include <string_view>

namespace moecollab::gate {

// Whether λ1·H is added as the paper prints it (sharp gates are rewarded), or subtracted as its
// prose has it (spreading is rewarded).
enum class EntropySign { kLiteral, kExplore };

// "literal", "explore".
std::string_view name(EntropySign sign);
// Throws E_CONFIG for another word; `what` names where it stood.
EntropySign parse_entropy_sign(std::string_view text, std::string_view what = "entropy_sign");

// A weight above this is a mistake of units: the objective would be nothing but that term.
inline constexpr double kMaxTermWeight = 1e6;

struct ObjectiveOptions {
  double lambda1 = 0.0;  // weight of the entropy term, 0 to kMaxTermWeight
  double lambda2 = 0.0;  // weight of the balance term, likewise
  EntropySign entropy_sign = EntropySign::kLiteral;
  int64_t balance_window = 0;   // batches that ḡ of the balance term looks back on; 0: this one
  double free_bits = 0.0;       // nats of KL(ḡ ‖ π) that cost nothing, >= 0
  double switch_load = 0.0;     // weight of switch_load(), called α there
  double importance_cv2 = 0.0;  // weight of importance_cv2()
  double z_loss = 0.0;          // weight of z_loss()
};

// Throws E_CONFIG for a weight that is negative, not finite or above kMaxTermWeight, for negative
// free bits, and for a window outside 0 to 1e6 batches.
void validate(const ObjectiveOptions& options);

}  // namespace moecollab::gate
