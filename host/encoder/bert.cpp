#include "encoder/bert.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "base/error.h"
#include "encoder/bert_weights.h"

namespace moecollab::encoder {
namespace {

// oneDNN's linear with a weight in oneDNN's own layout; no header declares these operators.
at::Tensor pack_weight(const at::Tensor& weight) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                             .typed<at::Tensor(const at::Tensor&, std::optional<c10::SymInt>)>();
  return op.call(weight, std::nullopt);
}

at::Tensor packed_linear(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias,
                         bool gelu) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                            std::string_view, c10::List<std::optional<at::Scalar>>,
                            std::optional<std::string_view>)>();
  static const c10::List<std::optional<at::Scalar>> kNoScalars;
  return gelu ? op.call(x, packed, bias, "gelu", kNoScalars, "none")
              : op.call(x, packed, bias, "none", kNoScalars, "");
}

at::Tensor activated(const at::Tensor& x, const std::string& activation) {
  if (activation == "gelu") return at::gelu(x, "none");
  if (activation == "gelu_tanh") return at::gelu(x, "tanh");
  if (activation == "relu") return at::relu(x);
  if (activation == "silu") return at::silu(x);
  return x;
}

}  // namespace

Linear::Linear(at::Tensor weight, at::Tensor bias, std::string activation)
    : weight_(std::move(weight)), bias_(std::move(bias)), activation_(std::move(activation)) {
  if (weight_.is_cpu() && at::globalContext().userEnabledMkldnn() &&
      at::globalContext().hasMKLDNN()) {
    packed_ = pack_weight(weight_);
    weight_ = at::Tensor();
  }
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (!packed_.defined()) return activated(at::linear(x, weight_, bias_), activation_);
  const bool gelu = activation_ == "gelu";
  const at::Tensor y = packed_linear(x, packed_, bias_, gelu);
  return gelu ? y : activated(y, activation_);
}

Bert::Bert(const EncoderFolder& folder, at::Device device) : config_(folder.config) {
  const at::NoGradGuard no_grad;
  const BertWeights weights(folder.checkpoint(), config_, device);
  words_ = weights.get("embeddings.word_embeddings.weight");
  positions_ = weights.get("embeddings.position_embeddings.weight") +
               weights.get("embeddings.token_type_embeddings.weight")[0];
  const auto norm = [&](const std::string& name) {
    return Norm{weights.get(name + ".weight"), weights.get(name + ".bias")};
  };
  const auto linear = [&](const std::string& name, const std::string& activation) {
    return Linear(weights.get(name + ".weight"), weights.get(name + ".bias"), activation);
  };
  embedding_norm_ = norm("embeddings.LayerNorm");
  for (int64_t i = 0; i < config_.layers; ++i) {
    const std::string layer = fmt::format("encoder.layer.{}.", i);
    const std::string self = layer + "attention.self.";
    const auto joined = [&](const char* kind) {
      return at::cat({weights.get(self + "query." + kind), weights.get(self + "key." + kind),
                      weights.get(self + "value." + kind)});
    };
    Block block;
    block.qkv = Linear(joined("weight"), joined("bias"));
    block.attention_out = linear(layer + "attention.output.dense", "none");
    block.attention_norm = norm(layer + "attention.output.LayerNorm");
    block.up = linear(layer + "intermediate.dense", config_.activation);
    block.down = linear(layer + "output.dense", "none");
    block.output_norm = norm(layer + "output.LayerNorm");
    blocks_.push_back(std::move(block));
  }
}

std::map<int, at::Tensor> Bert::forward(const at::Tensor& ids, std::span<const int32_t> lengths,
                                        const std::set<int>& wanted) const {
  const c10::InferenceMode inference;
  std::map<int, at::Tensor> states;
  if (wanted.empty()) return states;
  at::Tensor x = embed(ids, lengths);
  for (int layer = 0;; ++layer) {
    if (wanted.contains(layer)) states[layer] = x;
    if (layer == *wanted.rbegin()) return states;
    x = run(blocks_.at(static_cast<size_t>(layer)), x, lengths);
  }
}

at::Tensor Bert::embed(const at::Tensor& ids, std::span<const int32_t> lengths) const {
  std::vector<at::Tensor> positions;
  positions.reserve(lengths.size());
  for (const int32_t length : lengths) positions.push_back(positions_.narrow(0, 0, length));
  const at::Tensor x = at::embedding(words_, ids.to(words_.device())).add_(at::cat(positions));
  return normalised(x, embedding_norm_);
}

at::Tensor Bert::normalised(const at::Tensor& x, const Norm& norm) const {
  return at::layer_norm(x, {config_.hidden}, norm.weight, norm.bias, config_.ln_eps);
}

at::Tensor Bert::run(const Block& block, const at::Tensor& x,
                     std::span<const int32_t> lengths) const {
  const at::Tensor attended = block.attention_out(attend(block.qkv(x), lengths)).add_(x);
  const at::Tensor a = normalised(attended, block.attention_norm);
  return normalised(block.down(block.up(a)).add_(a), block.output_norm);
}

// softmax(q·kᵀ/√d)·v within each sequence. Sequences of one length stand side by side, so each run
// of them is one dense call without mask or padding.
at::Tensor Bert::attend(const at::Tensor& qkv, std::span<const int32_t> lengths) const {
  const int64_t heads = config_.heads, width = config_.hidden / config_.heads;
  at::Tensor context = at::empty({qkv.size(0), config_.hidden}, qkv.options());
  int64_t token = 0;
  for (size_t i = 0; i < lengths.size();) {
    size_t end = i;
    while (end < lengths.size() && lengths[end] == lengths[i]) ++end;
    const auto count = static_cast<int64_t>(end - i);
    const int64_t length = lengths[i], tokens = count * length;
    const at::Tensor parts = qkv.narrow(0, token, tokens)
                                 .view({count, length, 3, heads, width})
                                 .permute({2, 0, 3, 1, 4});
    const at::Tensor out = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
    context.narrow(0, token, tokens).view({count, length, heads, width}).copy_(out.transpose(1, 2));
    token += tokens;
    i = end;
  }
  return context;
}

}  // namespace moecollab::encoder
