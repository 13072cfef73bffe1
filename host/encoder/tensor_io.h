// at::Tensor to and from safetensors.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

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

// The same without a copy if the file has aligned float32: the tensor then reads the memory of
// `owner`, keeps it alive and must not be written.
inline at::Tensor to_tensor(const weights::TensorView& view, std::shared_ptr<const void> owner) {
  const auto address = reinterpret_cast<uintptr_t>(view.data.data());
  if (view.dtype != weights::DType::kF32 || view.data.empty() || address % alignof(float) != 0)
    return to_tensor(view);
  auto* values = const_cast<std::byte*>(view.data.data());
  return at::from_blob(
      values, view.shape, [owner = std::move(owner)](void*) {}, at::kFloat);
}

}  // namespace moecollab::encoder
