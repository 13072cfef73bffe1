// The host's tensors and features as the ABI's borrowed views.
#pragma once

#include <ATen/ATen.h>
#include <moecollab/abi.h>

#include <span>
#include <string_view>
#include <vector>

#include "encoder/device.h"
#include "encoder/features.h"

namespace moecollab::experts {

moec_string to_abi(std::string_view text);

int32_t device_code(at::Device device);  // MOEC_CPU, …

moec_error empty_error();

// Logits [rows, classes] in the host's memory for a library to write, and whether it left one out.
at::Tensor unwritten_logits(int64_t rows, int64_t classes);
bool any_unwritten(const at::Tensor& logits);

// A view of a contiguous tensor (float32 or int32), wherever it is; the tensor must outlive it,
// unmoved sizes included.
moec_tensor to_abi(const at::Tensor& tensor);

// The batch of an expert that reads `request` from `rows`, its tensors on `device`. Borrows both,
// and holds what the views point into; tensors that are elsewhere, not contiguous or not 64-byte
// aligned are copied.
class Batch {
 public:
  Batch(const encoder::Features& rows, const encoder::FeatureRequest& request, bool texts,
        at::Device device = encoder::kHost);
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  const moec_batch& view() const { return view_; }

 private:
  const moec_tensor* add(const at::Tensor& tensor);

  at::Device device_;
  std::vector<moec_string> texts_;
  std::vector<at::Tensor> kept_;
  std::vector<moec_tensor> tensors_;  // as many as were reserved: others point to them
  std::vector<const moec_tensor*> hidden_, pooled_;
  moec_batch view_{};
};

}  // namespace moecollab::experts
