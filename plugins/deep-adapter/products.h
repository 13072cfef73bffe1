// The products of a block, with gradients, by the library that is fastest for them.
#pragma once

#include <ATen/ATen.h>

namespace moecollab::deep_adapter {

// x·Wᵀ + b for x [T, in], weight [out, in] and bias [out], computed in `type` (float32 or bfloat16)
// and returned in it; sums are float32. Differentiable once in all three: gradients have the types
// of the tensors. float32 is multiplied by oneDNN if there is one: LibTorch's own choice, MKL,
// takes twice as long on CPUs that are not Intel's.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  at::ScalarType type);

}  // namespace moecollab::deep_adapter
