// The four ways to one answer, by name.
#pragma once

#include <string_view>

namespace moecollab::fusion {

enum class Mode { kPaper, kMasked, kMixture, kLogitUnion };

// "paper", "masked", "mixture", "logit-union".
std::string_view name(Mode mode);
// Throws E_CONFIG for another word, naming the nearest.
Mode parse_mode(std::string_view text);

// Whether the answer can be read without knowing the domain: mixture and logit-union give scores
// over the union Y; paper and masked over the c_max positions that all label spaces share.
bool is_task_agnostic(Mode mode);

}  // namespace moecollab::fusion
