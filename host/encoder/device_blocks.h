// The blocks of a BERT on another device than the CPU, as LibTorch's operators.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <string>
#include <vector>

#include "encoder/blocks.h"
#include "encoder/pooling.h"

namespace moecollab::encoder {

// Sequences of a batch whose tokens lie one after the other.
inline constexpr int64_t kMostSequences =
    65535;  // of a batch: attention counts them on a grid's axis

struct PackedSequences {
  at::Tensor offsets;   // [n + 1] int32 on the device, from 0 to T
  int64_t longest = 0;  // tokens

  int64_t count() const { return offsets.size(0) - 1; }
};

// Offsets of sequences of these lengths, and what longest is, on the device.
PackedSequences pack_sequences(std::span<const int32_t> lengths, at::Device device);

// The mean over each sequence's tokens, or its first token: [n, H] float32 of states [T, H].
at::Tensor pooled(const at::Tensor& states, const PackedSequences& sequences, Pooling pooling);

// Post-LN blocks for inference (Hugging Face modeling_bert.py, BertLayer), whose attention goes
// over packed sequences: aten::_flash_attention_forward in fp16 and bf16,
// aten::_efficient_attention_forward in fp32. Weights and states are in the products' numbers; the
// operators sum in float32 (see use_device()). Immutable; thread-safe.
class DeviceBlocks {
 public:
  // As Blocks; copies the weights to the device. Throws E_CONFIG for heads of a width that the
  // attention does not take.
  DeviceBlocks(const BertConfig& config, int64_t count, const Blocks::WeightOf& weight,
               Precision precision, at::Device device);

  int64_t count() const { return std::ssize(blocks_); }
  at::TensorOptions options() const { return options_; }  // of states
  // Blocks [first, end) over states [T, H].
  at::Tensor run(at::Tensor states, int64_t first, int64_t end,
                 const PackedSequences& sequences) const;

 private:
  struct Linear {
    at::Tensor weight, bias;
  };
  struct Block {
    Linear qkv, attention_out, up, down;
    Norm attention_norm, output_norm;
  };

  at::Tensor run(const at::Tensor& states, const Block& block,
                 const PackedSequences& sequences) const;
  at::Tensor attend(const at::Tensor& qkv, const PackedSequences& sequences) const;
  at::Tensor normalised(const at::Tensor& states, const Norm& norm) const;

  BertConfig config_;
  at::TensorOptions options_;
  std::vector<Block> blocks_;
};

}  // namespace moecollab::encoder
