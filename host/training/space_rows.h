// Which label space a text is of, where texts are few.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

#include "base/run_context.h"

namespace moecollab::training {

// Rows of the first factor of a gate in two: P(space | x) = softmax(weight·ẑ + bias).
struct SpaceRows {
  at::Tensor weight, bias;  // [S, D], [S] float32, where the texts are
  int64_t texts = 0;
  double shrinkage = 0;  // ρ, 0 to 1
  double scale = 0;      // a, > 0
};

// The linear discriminants between the spaces: logits a·(w_s·ẑ − w_s·m_s / 2) + ln π_s with
// w_s = C⁻¹m_s, m_s the mean of the space's texts, π_s its share of them, C the covariance within
// the spaces shrunk towards a multiple of the identity, (1 − ρ)·C + ρ·(tr C / D)·I. Five-fold
// cross-validation by the seed chooses ρ and a by the mean of −ln P(own space), the truth smoothed
// as in Platt scaling. There are none for one space, a space of fewer than 10 texts, or more than
// two texts per feature, of which a fit of the rows makes as much. z [n, D] standardised; spaces
// [n] int64, 0 to count − 1. Throws E_INTERRUPTED if a stop was asked for.
std::optional<SpaceRows> discriminant_rows(const at::Tensor& z, const at::Tensor& spaces,
                                           int64_t count, uint64_t seed, StopToken stop);

}  // namespace moecollab::training
