#include "experts/abi_views.h"

#include <algorithm>
#include <bit>

namespace moecollab::experts {
namespace {

// A signalling NaN that no computation gives: an element that still has it was not written.
constexpr uint32_t kUnwritten = 0x7FA0DEAD;

constexpr uintptr_t kAlignment = 64;

bool is_aligned(const at::Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % kAlignment == 0;
}

}  // namespace

moec_string to_abi(std::string_view text) { return {text.data(), text.size()}; }

moec_error empty_error() {
  moec_error error{};
  error.struct_size = sizeof error;
  return error;
}

// Loops, here and below: for the few numbers of a text, a call of an operator costs more than they.
at::Tensor unwritten_logits(int64_t rows, int64_t classes) {
  at::Tensor logits = at::empty({rows, classes}, at::kFloat);
  std::fill_n(logits.mutable_data_ptr<float>(), logits.numel(), std::bit_cast<float>(kUnwritten));
  return logits;
}

bool any_unwritten(const at::Tensor& logits) {
  const float* data = logits.const_data_ptr<float>();
  return std::any_of(data, data + logits.numel(), [](const float& value) {
    return std::bit_cast<uint32_t>(value) == kUnwritten;
  });
}

int32_t device_code(at::Device device) {
  if (device.is_cuda()) return MOEC_CUDA;
  return device.is_privateuseone() ? MOEC_EXT_DEV : MOEC_CPU;
}

moec_tensor to_abi(const at::Tensor& tensor) {
  TORCH_INTERNAL_ASSERT(tensor.is_contiguous());
  moec_tensor view{};
  view.data =
      const_cast<void*>(tensor.const_data_ptr());  // who may write it is the call's contract
  view.device_type = device_code(tensor.device());
  view.device_id = tensor.is_cpu() ? 0 : tensor.device().index();
  view.ndim = static_cast<int32_t>(tensor.dim());
  view.type_code = tensor.scalar_type() == at::kInt ? MOEC_INT : MOEC_FLOAT;
  view.type_bits = 32;
  view.type_lanes = 1;
  view.shape = tensor.sizes().data();
  view.strides = tensor.strides().data();
  return view;
}

Batch::Batch(const encoder::Features& rows, const encoder::FeatureRequest& request, bool texts,
             at::Device device)
    : device_(device) {
  view_.struct_size = sizeof(moec_batch);
  view_.rows = rows.rows();
  view_.row_ids = rows.row_ids.data();
  const size_t tensors = request.hidden.size() + request.pooled.size() + (request.tokens ? 1 : 0);
  kept_.reserve(tensors);
  tensors_.reserve(tensors);
  if (texts) {
    for (const std::string_view text : rows.texts) texts_.push_back(to_abi(text));
    view_.texts = texts_.data();
  }
  if (request.tokens || !request.hidden.empty()) view_.row_offsets = rows.row_offsets.data();
  if (request.tokens) view_.token_ids = add(rows.token_ids);
  for (const int layer : request.hidden) hidden_.push_back(add(rows.hidden.at(layer)));
  for (const encoder::PooledKey& key : request.pooled) pooled_.push_back(add(rows.pooled.at(key)));
  view_.layer_count = std::max(hidden_.size(), pooled_.size());
  view_.hidden = hidden_.empty() ? nullptr : hidden_.data();
  view_.pooled = pooled_.empty() ? nullptr : pooled_.data();
}

const moec_tensor* Batch::add(const at::Tensor& tensor) {
  const at::Tensor contiguous = tensor.to(device_).contiguous();
  kept_.push_back(is_aligned(contiguous) ? contiguous : contiguous.clone());
  tensors_.push_back(to_abi(kept_.back()));
  return &tensors_.back();
}

}  // namespace moecollab::experts
