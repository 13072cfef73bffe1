// What two answers have in common.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace moecollab::conformance {

// Answers that lie no farther apart are the same but for the order of sums.
inline constexpr double kSameAnswers = 1e-5;

// The greatest difference, relative to the greatest of all a, at least to 1: sums of large terms
// that nearly cancel keep the large terms' rounding.
inline double distance(const float* a, const float* b, size_t n) {
  double scale = 1, worst = 0;
  for (size_t i = 0; i < n; ++i) scale = std::max(scale, std::abs(static_cast<double>(a[i])));
  for (size_t i = 0; i < n; ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]) / scale;
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst;
}

inline bool all_finite(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

}  // namespace moecollab::conformance
