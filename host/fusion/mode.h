// The ways to one answer, by name.
#pragma once

#include <string_view>

namespace moecollab::fusion {

enum class Mode { kPaper, kMasked, kMixture, kLogitUnion };

// "paper", "masked", "mixture", "logit-union".
std::string_view name(Mode mode);
// Throws E_CONFIG for another word, naming the nearest.
Mode parse_mode(std::string_view text);

// How `mixture` pools what the experts of one label space say (Genest and Zidek 1986), w_e their
// shares within it: linear Σ w_e·p_e, logarithmic ∏ p_e^w_e, normalised over the space. Across
// spaces the mixture is always linear.
enum class OpinionPool { kLinear, kLogarithmic };

// "linear", "logarithmic". The parser throws E_CONFIG for another word.
std::string_view name(OpinionPool pool);
OpinionPool parse_opinion_pool(std::string_view text);

// Whether the answer can be read without knowing the domain: mixture and logit-union give scores
// over the union Y; paper and masked over the c_max positions that all label spaces share.
bool is_task_agnostic(Mode mode);

}  // namespace moecollab::fusion
