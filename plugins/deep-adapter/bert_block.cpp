#include "bert_block.h"

#include "attention.h"
#include "dropout.h"
#include "products.h"

namespace moecollab::deep_adapter {
namespace {

constexpr double kLoraScale = 2.0;  // α / rank

at::Tensor apply(const Matrix& m, const at::Tensor& x, const BlockSettings& s) {
  return linear(x, weight_of(m), *m.bias, s.products);
}

at::Tensor activated(const at::Tensor& x, const std::string& activation) {
  if (activation == "gelu") return at::gelu(x, "none");
  if (activation == "gelu_tanh") return at::gelu(x, "tanh");
  return activation == "relu" ? at::relu(x) : at::silu(x);
}

}  // namespace

at::Tensor weight_of(const Matrix& m) {
  return m.a == nullptr ? *m.weight : at::addmm(*m.weight, *m.b, *m.a, 1, kLoraScale);
}

at::Tensor BertBlock::operator()(const at::Tensor& x, const c10::intrusive_ptr<Packing>& packing,
                                 const BlockSettings& s, const at::Generator& generator) const {
  const at::IntArrayRef hidden = x.sizes().slice(1);
  const at::Tensor qkv = linear(x, at::cat({weight_of(query), weight_of(key), weight_of(value)}),
                                at::cat({*query.bias, *key.bias, *value.bias}), s.products);
  const at::Tensor context = attention(qkv, packing, s.heads);
  const at::Tensor attended =
      at::layer_norm(add_dropped(x, apply(attention_out, context, s), s.dropout, generator), hidden,
                     *attention_norm_weight, *attention_norm_bias, s.ln_eps);
  const at::Tensor inner = apply(down, activated(apply(up, attended, s), s.activation), s);
  return at::layer_norm(add_dropped(attended, inner, s.dropout, generator), hidden,
                        *output_norm_weight, *output_norm_bias, s.ln_eps);
}

}  // namespace moecollab::deep_adapter
