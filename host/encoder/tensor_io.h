// at::Tensor to and from safetensors.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "weights/convert.h"
#include "weights/safetensors.h"
#include "weights/writer.h"

namespace moecollab::encoder {

// A float32 or bfloat16 CPU tensor as what a file is written from; borrows its memory, which must
// be contiguous.
inline weights::TensorSource source_of(std::string name, const at::Tensor& tensor) {
  const auto dtype =
      tensor.scalar_type() == at::kBFloat16 ? weights::DType::kBF16 : weights::DType::kF32;
  return {std::move(name),
          dtype,
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
}

// A copy as float32, whatever float type the file has.
inline at::Tensor to_tensor(const weights::TensorView& view) {
  at::Tensor tensor = at::empty(view.shape, at::kFloat);
  weights::copy_f32(view, {tensor.mutable_data_ptr<float>(), static_cast<size_t>(tensor.numel())});
  return tensor;
}

}  // namespace moecollab::encoder
