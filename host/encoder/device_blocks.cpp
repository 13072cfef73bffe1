#include "encoder/device_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/error.h"
#include "encoder/device.h"

namespace moecollab::encoder {
namespace {

constexpr int64_t kWidthStep = 8;  // of a head, for both attention operators
constexpr int64_t kWidestHead = 256;

at::ScalarType type_of(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return at::kFloat;
    case Precision::kFp16:
      return at::kHalf;
    case Precision::kBf16:
      return at::kBFloat16;
    case Precision::kInt8:
      break;
  }
  throw std::logic_error("DeviceBlocks: int8 is of the CPU");
}

void require_heads(const BertConfig& config, at::Device device) {
  const int64_t width = config.hidden / config.heads;
  if (width % kWidthStep == 0 && width <= kWidestHead) return;
  throw Error(
      "E_CONFIG",
      fmt::format("the encoder's heads are {} wide; attention on {} takes multiples of {} up "
                  "to {}",
                  width, device.str(), kWidthStep, kWidestHead),
      "use --device cpu");
}

at::Tensor activated(const at::Tensor& x, const std::string& activation) {
  if (activation == "gelu") return at::gelu(x, "none");
  if (activation == "gelu_tanh") return at::gelu(x, "tanh");
  return activation == "relu" ? at::relu(x) : at::silu(x);
}

}  // namespace

PackedSequences pack_sequences(std::span<const int32_t> lengths, at::Device device) {
  const auto n = static_cast<int64_t>(lengths.size());
  at::Tensor offsets = staging_tensor({n + 1}, at::kInt, device);
  auto* offset = offsets.mutable_data_ptr<int32_t>();
  *offset = 0;
  for (const int32_t length : lengths) {
    offset[1] = offset[0] + length;
    ++offset;
  }
  return {offsets.to(device, /*non_blocking=*/true),
          lengths.empty() ? 0 : *std::ranges::max_element(lengths)};
}

at::Tensor pooled(const at::Tensor& states, const PackedSequences& sequences, Pooling pooling) {
  const at::Tensor first = sequences.offsets.narrow(0, 0, sequences.count());
  if (pooling == Pooling::kCls) return states.index_select(0, first).to(at::kFloat);
  constexpr int64_t kMean = 1;
  // No operator for sums over neighbours is as well kept: a bag is a sequence, a word a token.
  return std::get<0>(at::_embedding_bag_forward_only(
      states.to(at::kFloat), at::arange(states.size(0), first.options()), first,
      /*scale_grad_by_freq=*/false, kMean));
}

DeviceBlocks::DeviceBlocks(const BertConfig& config, int64_t count, const Blocks::WeightOf& weight,
                           Precision precision, at::Device device)
    : config_(config), options_(at::TensorOptions(type_of(precision)).device(device)) {
  require_heads(config, device);
  for (int64_t i = 0; i < count; ++i) {
    const auto get = [&](const char* name) { return weight(i, name).to(options_); };
    const auto joined = [&](const char* part) {
      std::vector<at::Tensor> parts;
      for (const char* name : {"query", "key", "value"})
        parts.push_back(weight(i, fmt::format("attention.self.{}.{}", name, part)));
      return at::cat(parts).to(options_);
    };
    blocks_.push_back(
        {.qkv = {joined("weight"), joined("bias")},
         .attention_out = {get("attention.output.dense.weight"),
                           get("attention.output.dense.bias")},
         .up = {get("intermediate.dense.weight"), get("intermediate.dense.bias")},
         .down = {get("output.dense.weight"), get("output.dense.bias")},
         .attention_norm = {get("attention.output.LayerNorm.weight"),
                            get("attention.output.LayerNorm.bias")},
         .output_norm = {get("output.LayerNorm.weight"), get("output.LayerNorm.bias")}});
  }
}

at::Tensor DeviceBlocks::run(at::Tensor states, int64_t first, int64_t end,
                             const PackedSequences& sequences) const {
  for (int64_t i = first; i < end; ++i)
    states = run(states, blocks_[static_cast<size_t>(i)], sequences);
  return states;
}

at::Tensor DeviceBlocks::run(const at::Tensor& states, const Block& block,
                             const PackedSequences& sequences) const {
  const at::Tensor context =
      attend(at::linear(states, block.qkv.weight, block.qkv.bias), sequences);
  const at::Tensor attended = normalised(
      at::linear(context, block.attention_out.weight, block.attention_out.bias).add_(states),
      block.attention_norm);
  const at::Tensor inner =
      activated(at::linear(attended, block.up.weight, block.up.bias), config_.activation);
  return normalised(at::linear(inner, block.down.weight, block.down.bias).add_(attended),
                    block.output_norm);
}

// Contexts [T, H] of queries, keys and values side by side [T, 3·H].
at::Tensor DeviceBlocks::attend(const at::Tensor& qkv, const PackedSequences& sequences) const {
  const at::Tensor parts =
      qkv.view({qkv.size(0), 3, config_.heads, config_.hidden / config_.heads});
  const at::Tensor q = parts.select(1, 0), k = parts.select(1, 1), v = parts.select(1, 2);
  if (options_.dtype() == at::kFloat) {
    constexpr int64_t kNoMask = 0;
    return std::get<0>(at::_efficient_attention_forward(
                           q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), /*bias=*/{},
                           sequences.offsets, sequences.offsets, sequences.longest,
                           sequences.longest, /*dropout_p=*/0, kNoMask))
        .reshape({qkv.size(0), config_.hidden});
  }
  return std::get<0>(at::_flash_attention_forward(q, k, v, sequences.offsets, sequences.offsets,
                                                  sequences.longest, sequences.longest,
                                                  /*dropout_p=*/0, /*is_causal=*/false,
                                                  /*return_debug_mask=*/false))
      .reshape({qkv.size(0), config_.hidden});
}

at::Tensor DeviceBlocks::normalised(const at::Tensor& states, const Norm& norm) const {
  return at::layer_norm(states, {config_.hidden}, norm.weight, norm.bias, config_.ln_eps);
}

}  // namespace moecollab::encoder
