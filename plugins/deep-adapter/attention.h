// Attention within each of some packed texts.
#pragma once

#include <ATen/ATen.h>

#include "packing.h"

namespace moecollab::deep_adapter {

// softmax(q·kᵀ/√d)·v per text and head, for qkv [rows, 3·H]: [rows, H] in its type, 0 in the rows
// that no text owns. Products are of qkv's type, the softmax is float32. Differentiable once, if
// the gradient of those rows is 0, as it is when the text's own rows are all that counts. By plain
// products: LibTorch's fused attention takes two to eight times as long on texts of 30 to 130
// tokens.
at::Tensor attention(const at::Tensor& qkv, const c10::intrusive_ptr<Packing>& packing,
                     int64_t heads);

}  // namespace moecollab::deep_adapter
