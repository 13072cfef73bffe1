#include "bert_block.h"

namespace moecollab::deep_adapter {
namespace {

constexpr double kLoraScale = 2.0;  // α / rank

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  bool bfloat16) {
  if (!bfloat16) return at::linear(x, weight, bias);
  return at::linear(x.to(at::kBFloat16), weight.to(at::kBFloat16), bias.to(at::kBFloat16))
      .to(at::kFloat);
}

at::Tensor apply(const Matrix& m, const at::Tensor& x, const BlockSettings& s) {
  const at::Tensor y = linear(x, *m.weight, *m.bias, s.bfloat16);
  if (m.a == nullptr) return y;
  return y + kLoraScale * at::matmul(at::matmul(x, m.a->t()), m.b->t());
}

at::Tensor activated(const at::Tensor& x, const std::string& activation) {
  if (activation == "gelu") return at::gelu(x, "none");
  if (activation == "gelu_tanh") return at::gelu(x, "tanh");
  return activation == "relu" ? at::relu(x) : at::silu(x);
}

}  // namespace

at::Tensor dropout(const at::Tensor& x, double p, const at::Generator& generator) {
  if (p == 0) return x;
  const at::Tensor kept = at::empty_like(x).bernoulli_(1 - p, generator);
  return x * kept.div_(1 - p);
}

at::Tensor BertBlock::operator()(const Padded& in, const BlockSettings& s,
                                 const at::Generator& generator) const {
  const int64_t n = in.x.size(0), tokens = in.x.size(1), hidden = in.x.size(2);
  const auto by_head = [&](const Matrix& m) {
    return apply(m, in.x, s).view({n, tokens, s.heads, hidden / s.heads}).transpose(1, 2);
  };
  const std::optional<at::Tensor> mask = in.mask.defined() ? std::optional(in.mask) : std::nullopt;
  const at::Tensor context =
      at::scaled_dot_product_attention(by_head(query), by_head(key), by_head(value), mask)
          .transpose(1, 2)
          .reshape({n, tokens, hidden});
  const at::Tensor attended =
      at::layer_norm(in.x + dropout(apply(attention_out, context, s), s.dropout, generator),
                     {hidden}, *attention_norm_weight, *attention_norm_bias, s.ln_eps);
  const at::Tensor inner = apply(down, activated(apply(up, attended, s), s.activation), s);
  return at::layer_norm(attended + dropout(inner, s.dropout, generator), {hidden},
                        *output_norm_weight, *output_norm_bias, s.ln_eps);
}

}  // namespace moecollab::deep_adapter
