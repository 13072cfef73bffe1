// The gating network: how much each expert counts for a text.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "encoder/features.h"

namespace moecollab::gate {

// Equation (2): g(x) = softmax(W_g·ẑ + b_g), ẑ = (z − mean) / std, z [n, D] the pooled features of
// some layers side by side, standardised by training statistics. Router logits are always float32.
struct Gate {
  std::vector<encoder::PooledKey> features;  // what z is made of, in this order
  at::Tensor mean, std;                      // [D]
  at::Tensor weight, bias;                   // [E, D], [E]

  int64_t experts() const { return weight.size(0); }
  // z [n, D] of texts whose features these are.
  at::Tensor input(const encoder::Features& texts) const;
  // [n, D] -> [n, E]; differentiable in weight and bias.
  at::Tensor router_logits(const at::Tensor& z) const;
};

// z [n, D]: the pooled features of those keys side by side.
at::Tensor side_by_side(const std::vector<encoder::PooledKey>& keys,
                        const encoder::Features& texts);

// What a gate reads unless told otherwise: means of the embeddings' output, the middle and the last
// layer. The paper's gate reads one vector; lower layers tell domains apart by their words and
// style.
std::vector<encoder::PooledKey> default_features(int64_t layers);

// A gate of zeros (uniform) whose statistics are those of z [n, D].
Gate make_gate(const std::vector<encoder::PooledKey>& features, const at::Tensor& z,
               int64_t experts);

// What a text's experts get: weights [n, E] float32, rows summing to 1. With 0 < top_k < E only the
// k greatest of the softmax stay (the lower index of equal ones), renormalised; the others are
// exactly 0 and those experts are not run. top_k = 0: dense.
at::Tensor routing_weights(const at::Tensor& router_logits, int64_t top_k);

}  // namespace moecollab::gate
