#include "encoder/bert.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "encoder/bert_weights.h"
#include "encoder/pass_buffers.h"

namespace moecollab::encoder {

Bert::Bert(const EncoderFolder& folder, Precision precision, std::shared_ptr<SpareBuffers> spare,
           const Kernels& kernels)
    : Bert(folder.config, BertWeights(folder.checkpoint(), folder.config), precision,
           std::move(spare), kernels) {}

Bert::Bert(const BertConfig& config, const BertWeights& weights, Precision precision,
           std::shared_ptr<SpareBuffers> spare, const Kernels& kernels)
    : config_(config),
      precision_(precision),
      words_(weights.get("embeddings.word_embeddings.weight")),
      embedding_norm_{weights.get("embeddings.LayerNorm.weight"),
                      weights.get("embeddings.LayerNorm.bias")},
      blocks_(
          config, config.layers,
          [&](int64_t block, const std::string& name) {
            return weights.get(fmt::format("encoder.layer.{}.{}", block, name));
          },
          precision, kernels),
      spare_(std::move(spare)) {
  const at::NoGradGuard no_grad;
  positions_ = weights.get("embeddings.position_embeddings.weight") +
               weights.get("embeddings.token_type_embeddings.weight")[0];
}

void Bert::forward(std::span<const int32_t> ids, std::span<const int32_t> lengths,
                   const std::set<int>& wanted, const Sink& sink, int64_t threads) const {
  if (wanted.empty() || ids.empty()) return;
  const SpareBuffers::Lease lease(*spare_);
  PassBuffers& b = *lease;
  b.prepare(config_, numbers_of(precision_), lengths, blocks_.useful_threads(lengths, threads));
  embed(ids, lengths, b);
  run(0, lengths, wanted, sink, b);
}

void Bert::resume(int layer, std::span<const float* const> states, std::span<const int32_t> lengths,
                  const std::set<int>& wanted, const Sink& sink, int64_t threads) const {
  if (wanted.empty() || states.empty()) return;
  const SpareBuffers::Lease lease(*spare_);
  PassBuffers& b = *lease;
  blocks_.begin(states, lengths, threads, b);
  run(layer, lengths, wanted, sink, b);
}

void Bert::run(int done, std::span<const int32_t> lengths, const std::set<int>& wanted,
               const Sink& sink, PassBuffers& b) const {
  for (const int layer : wanted) {
    blocks_.run(done, layer, lengths, b);
    done = layer;
    sink(layer, {static_cast<const float*>(b.x.values), b.x.stride});
  }
}

void Bert::embed(std::span<const int32_t> ids, std::span<const int32_t> lengths,
                 PassBuffers& b) const {
  const float* words = words_.const_data_ptr<float>();
  const float* positions = positions_.const_data_ptr<float>();
  const int64_t hidden = config_.hidden;
  auto* x = static_cast<float*>(b.x.values);
  const int32_t* id = ids.data();
  for (const int32_t length : lengths) {
    for (int32_t t = 0; t < length; ++t, ++id, x += b.x.stride) {
      const float *word = words + *id * hidden, *position = positions + t * hidden;
      for (int64_t c = 0; c < hidden; ++c) x[c] = word[c] + position[c];
    }
  }
  blocks_.normalise(embedding_norm_, b, TeamMember());
}

}  // namespace moecollab::encoder
