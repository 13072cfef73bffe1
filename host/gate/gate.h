// The gating network: how much each expert counts for a text.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "encoder/features.h"

namespace moecollab::gate {

// Equation (2): g(x) = softmax(W_g·ẑ + b_g), ẑ = (z − mean) / std, z [n, H] the pooled features of
// one layer, standardised by training statistics. Router logits are always float32.
struct Gate {
  encoder::PooledKey feature;
  at::Tensor mean, std;      // [H]
  at::Tensor weight, bias;   // [E, H], [E]

  int64_t experts() const { return weight.size(0); }
  // [n, H] -> [n, E]; differentiable in weight and bias.
  at::Tensor router_logits(const at::Tensor& z) const;
};

// A gate of zeros (uniform) whose statistics are those of z [n, H].
Gate make_gate(const encoder::PooledKey& feature, const at::Tensor& z, int64_t experts);

// What a text's experts get: weights [n, E] float32, rows summing to 1. With 0 < top_k < E only the k
// greatest of the softmax stay (the lower index of equal ones), renormalised; the others are exactly 0
// and those experts are not run. top_k = 0: dense.
at::Tensor routing_weights(const at::Tensor& router_logits, int64_t top_k);

}  // namespace moecollab::gate
