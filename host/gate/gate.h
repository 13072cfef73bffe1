// The gating network: how much each expert counts for a text.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "encoder/features.h"

namespace moecollab::gate {

// Equation (2): g(x) = softmax(W_g·ẑ + b_g), ẑ = (z − mean) / std, z [n, D] the pooled features of
// some layers side by side, standardised by training statistics. Router logits are always float32.
// With a hidden layer (`--gate mlp`), relu(W_h·ẑ + b_h) [n, H] stands in ẑ's place. In two factors
// (`--gate factored`), g_e(x) = P(space of e | x)·w_e(x | space): P = softmax(W_s·ẑ + b_s) over the
// label spaces, w the softmax of W_g·ẑ + b_g among the experts of the space. In a fit of several
// gates side by side, what parameters() gives has a leading dimension P, and so has the result.
struct Gate {
  std::vector<encoder::PooledKey> features;  // what z is made of, in this order
  at::Tensor mean, std;                      // [D]
  at::Tensor hidden_weight, hidden_bias;     // [H, D], [H]; undefined in a linear gate
  at::Tensor space_weight, space_bias;       // [S, D], [S]; undefined unless in two factors
  std::vector<int64_t> spaces;               // [E] of 0 to S − 1; empty unless in two factors
  at::Tensor weight, bias;                   // [E, D] ([E, H] with a hidden layer), [E]

  int64_t experts() const { return weight.size(0); }
  // The deepest layer that it reads: no text goes deeper before its experts are chosen.
  int layer() const;
  bool is_mlp() const { return hidden_weight.defined(); }
  bool is_factored() const { return space_weight.defined(); }
  // What an optimiser changes: W_s and b_s of a gate in two factors, else W_g, b_g, and the hidden
  // layer's if there is one.
  std::vector<at::Tensor*> parameters();
  // z [n, D] of texts whose features these are.
  at::Tensor input(const encoder::Features& texts) const;
  // ẑ [n, D] of z.
  at::Tensor standardised(const at::Tensor& z) const;
  // ẑ [n, D] -> router logits [n, E], whose softmax is g (in two factors: ln g); differentiable in
  // the parameters. `log_shares`: what log_share_in_space() gives for these, if it is known.
  at::Tensor forward(const at::Tensor& standardised_z, const at::Tensor& log_shares = {}) const;
  // ln w_e(x | space) [n, E] of a gate in two factors.
  at::Tensor log_share_in_space(const at::Tensor& standardised_z) const;
  // z [n, D] -> router logits [n, E]; differentiable in the parameters.
  at::Tensor router_logits(const at::Tensor& z) const;
  // Operations of one text, 2 per multiply-add.
  int64_t flops_per_text() const;
};

// z [n, D]: the pooled features of those keys side by side.
at::Tensor side_by_side(const std::vector<encoder::PooledKey>& keys,
                        const encoder::Features& texts);

// What a gate over that many layers reads unless options say otherwise: means of the embeddings'
// output, the middle and the last of them, each once. The paper's gate reads one vector; lower
// layers tell domains apart by their words and style.
std::vector<encoder::PooledKey> default_features(int64_t layers);

// A gate of zeros (uniform) whose statistics are those of z [n, D].
Gate make_gate(const std::vector<encoder::PooledKey>& features, const at::Tensor& z,
               int64_t experts);

// Gives a gate of make_gate() a hidden layer of `width` units, its weights drawn uniformly from
// ±√(1/D) by the seed. W_g stays zero, so the gate stays uniform until it learns.
void add_hidden_layer(Gate& gate, int64_t width, uint64_t seed);

// The gate over these of its experts alone (at least one; each once, rising): the others share the
// weight of those that are left out. In two factors the experts of a space do, and only the weight
// of a space without any goes to the other spaces.
Gate with_experts(const Gate& gate, const std::vector<int64_t>& experts);

// The router logits [n, E] that the gate over the other experts would give, from its own; −∞ for
// those that are left out (not all of them).
at::Tensor without_experts(const Gate& gate, const at::Tensor& router_logits,
                           const std::vector<bool>& left_out);

// The same gate with its tensors on the device.
Gate moved(const Gate& gate, at::Device device);

// Whether rows for new experts may be added to it without a fit of the others: not if they read a
// hidden layer.
bool can_grow(const Gate& gate);

// What a text's experts get: weights [n, E] float32, rows summing to 1. With 0 < top_k < E only the
// k greatest of the softmax stay (the lower index of equal ones), renormalised; the others are
// exactly 0 and those experts are not run. top_k = 0: dense.
at::Tensor routing_weights(const at::Tensor& router_logits, int64_t top_k);

// The weights with none above its expert's cap (`caps` [E], 1: none): what is above goes to the
// experts below theirs, in proportion to their weights. A row in which those have no weight stays
// as it is, since weights sum to 1.
at::Tensor capped(const at::Tensor& weights, const at::Tensor& caps);

// The 0th to 100th percentile of the gate's entropy (nats) on texts z [n, D]: what makes a text's
// domain "unknown" is measured against those of held-out texts.
std::vector<double> entropy_percentiles(const Gate& gate, const at::Tensor& z);

}  // namespace moecollab::gate
