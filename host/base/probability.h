// The floor under probabilities.
#pragma once

namespace moecollab {

// The least probability whose logarithm is taken: what is less likely costs no more.
inline constexpr double kLeastProbability = 1e-12;

}  // namespace moecollab
