// at::Tensor to and from safetensors.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "weights/convert.h"
#include "weights/safetensors.h"
#include "weights/writer.h"

namespace moecollab::encoder {

// A float32 CPU tensor as what a file is written from; borrows its memory, which must be
// contiguous.
inline weights::TensorSource source_of(std::string name, const at::Tensor& tensor) {
  return weights::f32_source(std::move(name), tensor.sizes().vec(),
                             {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())});
}

// A copy as float32, whatever float type the file has.
inline at::Tensor to_tensor(const weights::TensorView& view) {
  at::Tensor tensor = at::empty(view.shape, at::kFloat);
  weights::copy_f32(view, {tensor.mutable_data_ptr<float>(), static_cast<size_t>(tensor.numel())});
  return tensor;
}

}  // namespace moecollab::encoder
