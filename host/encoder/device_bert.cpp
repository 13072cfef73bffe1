#include "encoder/device_bert.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "encoder/bert_weights.h"
#include "encoder/device.h"

namespace moecollab::encoder {

PassResult::PassResult(at::Device device)
    : device_(device), arrived_(std::in_place, device.type()) {}

// An event is destroyed on its device; without the guard the thread's own would be woken for that.
PassResult::~PassResult() {
  if (!arrived_) return;
  const c10::DeviceGuard guard(device_);
  arrived_.reset();
}

void PassResult::send() {
  for (auto& [key, tensor] : pooled) tensor = to_staging(tensor);
  for (auto& [layer, tensor] : states) tensor = to_staging(tensor.to(at::kFloat));
  arrived_->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
}

void PassResult::wait() { arrived_->synchronize(); }

DeviceBert::DeviceBert(const EncoderFolder& folder, Precision precision, at::Device device)
    : DeviceBert(folder.config, BertWeights(folder.checkpoint(), folder.config), precision,
                 device) {}

DeviceBert::DeviceBert(const BertConfig& config, const BertWeights& weights, Precision precision,
                       at::Device device)
    : config_(config),
      device_(device),
      blocks_(
          config, config.layers,
          [&](int64_t block, const std::string& name) {
            return weights.get(fmt::format("encoder.layer.{}.{}", block, name));
          },
          precision, device) {
  const at::NoGradGuard no_grad;
  const auto get = [&](const char* name) { return weights.get(name).to(blocks_.options()); };
  words_ = get("embeddings.word_embeddings.weight");
  positions_ = (weights.get("embeddings.position_embeddings.weight") +
                weights.get("embeddings.token_type_embeddings.weight")[0])
                   .to(blocks_.options());
  embedding_norm_ = {get("embeddings.LayerNorm.weight"), get("embeddings.LayerNorm.bias")};
}

at::Tensor DeviceBert::embed(const PassStart& start) const {
  const auto tokens = static_cast<int64_t>(start.ids.size());
  const at::Tensor staged = staging_tensor({2, tokens}, at::kInt, device_);
  auto* id = staged.mutable_data_ptr<int32_t>();
  int32_t* position = std::ranges::copy(start.ids, id).out;
  for (const int32_t length : start.lengths) {
    std::iota(position, position + length, 0);
    position += length;
  }
  const at::Tensor sent = staged.to(device_, /*non_blocking=*/true);
  return at::layer_norm(words_.index_select(0, sent[0]).add_(positions_.index_select(0, sent[1])),
                        {config_.hidden}, embedding_norm_.weight, embedding_norm_.bias,
                        config_.ln_eps);
}

at::Tensor DeviceBert::resume(const PassStart& start) const {
  const int64_t tokens = std::accumulate(start.lengths.begin(), start.lengths.end(), int64_t{0});
  const at::Tensor staged = staging_tensor({tokens, config_.hidden}, at::kFloat, device_);
  auto* row = staged.mutable_data_ptr<float>();
  for (size_t i = 0; i < start.lengths.size(); ++i)
    row = std::copy_n(start.states[i], start.lengths[i] * config_.hidden, row);
  return staged.to(device_, /*non_blocking=*/true).to(blocks_.options());
}

PassResult DeviceBert::forward(const PassStart& start, const FeatureRequest& request) const {
  const at::NoGradGuard no_grad;
  const c10::DeviceGuard guard(device_);
  const PackedSequences sequences = pack_sequences(start.lengths, device_);
  const bool resumed = !start.states.empty();
  at::Tensor states = resumed ? resume(start) : embed(start);
  std::set<int> wanted = request.hidden;
  for (const PooledKey& key : request.pooled) wanted.insert(key.layer);
  PassResult result(device_);
  int done = resumed ? start.layer : 0;
  for (const int layer : wanted) {
    states = blocks_.run(states, done, layer, sequences);
    done = layer;
    for (const PooledKey& key : request.pooled) {
      if (key.layer == layer) result.pooled[key] = pooled(states, sequences, key.pooling);
    }
    if (request.hidden.contains(layer)) result.states[layer] = states;
  }
  result.send();
  return result;
}

}  // namespace moecollab::encoder
