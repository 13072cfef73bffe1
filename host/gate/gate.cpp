#include "gate/gate.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/error.h"

namespace moecollab::gate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Whether each expert is in each of the spaces [S, E], `index` [E] being its own.
at::Tensor is_in(const at::Tensor& index, int64_t spaces) {
  return at::arange(spaces, index.options()).unsqueeze(1).eq(index);
}

// W·x + b of x [n, D] ([P, n, D] too, if W is one per gate) for W [out, D], b [out], or for those
// of P gates [P, out, D], [P, out], which give [P, n, out].
at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (weight.dim() == 2) return at::linear(x, weight, bias);
  if (x.dim() == 3) return at::baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2));
  const at::Tensor all = at::linear(x, weight.flatten(0, 1), bias.flatten());
  return all.view({x.size(0), weight.size(0), weight.size(1)}).transpose(0, 1);
}

}  // namespace

int Gate::layer() const {
  int deepest = 0;
  for (const encoder::PooledKey& key : features) deepest = std::max(deepest, key.layer);
  return deepest;
}

std::vector<at::Tensor*> Gate::parameters() {
  if (is_factored()) return {&space_weight, &space_bias};
  if (!is_mlp()) return {&weight, &bias};
  return {&weight, &bias, &hidden_weight, &hidden_bias};
}

at::Tensor Gate::standardised(const at::Tensor& z) const {
  return (z.to(at::kFloat) - mean).div_(std);
}

at::Tensor Gate::log_share_in_space(const at::Tensor& standardised_z) const {
  const at::Tensor score = at::linear(standardised_z, weight, bias);
  const at::Tensor index = encoder::index_tensor(spaces, score.device());
  const at::Tensor own = is_in(index, space_bias.size(-1));
  const at::Tensor others =
      at::zeros(own.sizes(), score.options()).masked_fill_(own.logical_not(), -kInfinity);
  const at::Tensor sums = (score.unsqueeze(1) + others).logsumexp(-1);  // [n, S]
  return score - sums.index_select(1, index);
}

at::Tensor Gate::forward(const at::Tensor& standardised_z, const at::Tensor& log_shares) const {
  if (is_factored()) {
    const at::Tensor log_p = at::log_softmax(affine(standardised_z, space_weight, space_bias), -1);
    const at::Tensor index = encoder::index_tensor(spaces, log_p.device());
    // On a GPU the gradient of index_select adds in any order; a product's does not.
    const at::Tensor of_experts =
        log_p.is_cpu() ? log_p.index_select(-1, index)
                       : log_p.matmul(is_in(index, space_bias.size(-1)).to(at::kFloat));
    return of_experts + (log_shares.defined() ? log_shares : log_share_in_space(standardised_z));
  }
  if (!is_mlp()) return affine(standardised_z, weight, bias);
  return affine(at::relu(affine(standardised_z, hidden_weight, hidden_bias)), weight, bias);
}

at::Tensor Gate::router_logits(const at::Tensor& z) const { return forward(standardised(z)); }

int64_t Gate::flops_per_text() const {
  return 2 * (weight.numel() + (is_mlp() ? hidden_weight.numel() : 0) +
              (is_factored() ? space_weight.numel() : 0));
}

at::Tensor side_by_side(const std::vector<encoder::PooledKey>& keys,
                        const encoder::Features& texts) {
  std::vector<at::Tensor> parts;
  for (const encoder::PooledKey& key : keys) parts.push_back(texts.pooled.at(key));
  return at::cat(parts, 1);
}

at::Tensor Gate::input(const encoder::Features& texts) const {
  return side_by_side(features, texts);
}

std::vector<encoder::PooledKey> default_features(int64_t layers) {
  std::vector<encoder::PooledKey> features;
  for (const int64_t layer : std::set{int64_t{0}, layers / 2, layers})
    features.push_back({static_cast<int>(layer), encoder::Pooling::kMean});
  return features;
}

Gate make_gate(const std::vector<encoder::PooledKey>& features, const at::Tensor& z,
               int64_t experts) {
  Gate gate;
  gate.features = features;
  gate.mean = z.mean(0);
  gate.std = z.std(0, /*unbiased=*/false).clamp_min(1e-6);
  gate.weight = at::zeros({experts, z.size(1)}, gate.mean.options());
  gate.bias = at::zeros({experts}, gate.mean.options());
  return gate;
}

void add_hidden_layer(Gate& gate, int64_t width, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const int64_t inputs = gate.mean.size(0);
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  const at::TensorOptions options = gate.mean.options();
  // Drawn on the host: the seed gives the same numbers on every device.
  gate.hidden_weight = at::empty({width, inputs}).uniform_(-bound, bound, generator).to(options);
  gate.hidden_bias = at::zeros({width}, options);
  gate.weight = at::zeros({gate.experts(), width}, options);
}

Gate with_experts(const Gate& gate, const std::vector<int64_t>& experts) {
  const at::Tensor rows = encoder::index_tensor(experts);
  Gate part = gate;
  part.weight = gate.weight.index_select(0, rows);
  part.bias = gate.bias.index_select(0, rows);
  if (!gate.is_factored()) return part;
  part.spaces.clear();
  std::vector<int64_t> spaces;  // that still have an expert
  for (const int64_t e : experts) {
    const int64_t space = gate.spaces[static_cast<size_t>(e)];
    const auto found = std::ranges::find(spaces, space);
    part.spaces.push_back(found - spaces.begin());
    if (found == spaces.end()) spaces.push_back(space);
  }
  part.space_weight = gate.space_weight.index_select(0, encoder::index_tensor(spaces));
  part.space_bias = gate.space_bias.index_select(0, encoder::index_tensor(spaces));
  return part;
}

at::Tensor without_experts(const Gate& gate, const at::Tensor& router_logits,
                           const std::vector<bool>& left_out) {
  at::Tensor logits = router_logits.clone();
  const double nothing = -std::numeric_limits<double>::infinity();
  for (int64_t e = 0; e < gate.experts(); ++e)
    if (left_out[static_cast<size_t>(e)]) logits.select(1, e).fill_(nothing);
  const int64_t spaces = gate.is_factored() ? gate.space_weight.size(0) : 0;
  for (int64_t space = 0; space < spaces; ++space) {
    std::vector<int64_t> members;
    for (int64_t e = 0; e < gate.experts(); ++e)
      if (gate.spaces[static_cast<size_t>(e)] == space) members.push_back(e);
    const at::Tensor columns = at::tensor(members, at::kLong).to(logits.device());
    const at::Tensor all = router_logits.index_select(1, columns).logsumexp(1, true);
    const at::Tensor kept = logits.index_select(1, columns);
    // What a space without any expert had goes to the other spaces.
    const at::Tensor more = (all - kept.logsumexp(1, true)).nan_to_num(0, 0, 0);
    logits.index_copy_(1, columns, kept + more);
  }
  return logits;
}

Gate moved(const Gate& gate, at::Device device) {
  Gate copy = gate;
  for (at::Tensor* tensor : {&copy.mean, &copy.std, &copy.weight, &copy.bias, &copy.hidden_weight,
                             &copy.hidden_bias, &copy.space_weight, &copy.space_bias}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
  return copy;
}

bool can_grow(const Gate& gate) { return !gate.is_mlp(); }

at::Tensor routing_weights(const at::Tensor& router_logits, int64_t top_k) {
  const at::Tensor dense = at::softmax(router_logits, -1);
  const int64_t experts = router_logits.size(-1);
  if (top_k < 0 || top_k > experts) {
    throw Error("E_CONFIG", fmt::format("top_k is {}, but {} experts are routed", top_k, experts),
                "use a --top-k from 1 to the number of experts, or 0 for all");
  }
  if (top_k == 0 || top_k == experts) return dense;
  // A stable descending sort takes the lower index of equal values on every platform.
  const at::Tensor order = std::get<1>(dense.sort(/*stable=*/true, -1, /*descending=*/true));
  const at::Tensor mask = at::zeros_like(dense).scatter_(-1, order.narrow(-1, 0, top_k), 1.0);
  const at::Tensor kept = dense * mask;
  return kept / kept.sum(-1, /*keepdim=*/true);
}

at::Tensor capped(const at::Tensor& weights, const at::Tensor& caps) {
  at::Tensor result = weights, full = at::zeros_like(weights, at::kBool);
  at::Tensor stuck = at::zeros({weights.size(0), 1}, full.options());
  for (at::Tensor over = result > caps; over.any().item<bool>();
       over = (result > caps).logical_and(stuck.logical_not())) {
    full = full.logical_or(over);
    const at::Tensor free = weights.masked_fill(full, 0.0);
    const at::Tensor sum = free.sum(1, /*keepdim=*/true);
    stuck = stuck.logical_or(sum == 0);
    const at::Tensor left = 1 - (caps * full).sum(1, /*keepdim=*/true);
    result = at::where(stuck, weights, at::where(full, caps, free * (left / sum)));
  }
  return result;
}

std::vector<double> entropy_percentiles(const Gate& gate, const at::Tensor& z) {
  const at::NoGradGuard no_grad;
  const at::Tensor log_g = at::log_softmax(gate.router_logits(z), -1);
  const at::Tensor sorted = std::get<0>((-(log_g.exp() * log_g).sum(-1)).to(at::kDouble).sort());
  std::vector<double> percentiles;
  const int64_t last = sorted.numel() - 1;
  for (int64_t p = 0; p <= 100; ++p) percentiles.push_back(sorted[p * last / 100].item<double>());
  return percentiles;
}

}  // namespace moecollab::gate
