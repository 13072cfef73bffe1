// Dropout whose choices follow from one seed and the position alone.
#pragma once

#include <ATen/ATen.h>

namespace moecollab::deep_adapter {

// Zeroes a share `p` of the elements and scales the rest by 1 / (1 − p): x + what is left of
// `branch`, float32. One number is drawn from the generator; which elements stay depends on it and
// on their positions, so the mask is made by all threads. p = 0 draws nothing.
at::Tensor add_dropped(const at::Tensor& x, const at::Tensor& branch, double p,
                       const at::Generator& generator);
// x itself for p = 0.
at::Tensor dropout(const at::Tensor& x, double p, const at::Generator& generator);

}  // namespace moecollab::deep_adapter
