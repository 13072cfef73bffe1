// The BERT encoder: packed token ids in, hidden states out.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "encoder/encoder_folder.h"

namespace moecollab::encoder {

// y = x·Wᵀ + b for x [T, in], with the weight in the layout that is fastest for the device
// (oneDNN's own on the CPU, as prepared once at load).
class Linear {
 public:
  Linear() = default;
  // weight [out, in], bias [out]; `activation`: "none", or one of BertConfig's, applied to y.
  Linear(at::Tensor weight, at::Tensor bias, std::string activation = "none");
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor weight_, packed_, bias_;
  std::string activation_;
};

// Post-LN BERT without pooler, inference only (Hugging Face modeling_bert.py). Thread-safe.
class Bert {
 public:
  // Reads the folder's weights onto `device`. Throws E_ENCODER listing every missing and mis-shaped
  // tensor, E_ST_… for a damaged file.
  Bert(const EncoderFolder& folder, at::Device device);

  const BertConfig& config() const { return config_; }

  // `ids`: the tokens of all sequences packed, [T] int32; `lengths`: of each sequence, sum T; equal
  // neighbours are attended to in one call, so sort by length. Gives the states [T, H] float32 of
  // each layer in `wanted` (0 = embeddings, i = after block i); blocks above the highest are not
  // run.
  std::map<int, at::Tensor> forward(const at::Tensor& ids, std::span<const int32_t> lengths,
                                    const std::set<int>& wanted) const;

 private:
  struct Norm {
    at::Tensor weight, bias;
  };
  struct Block {
    Linear qkv, attention_out, up, down;
    Norm attention_norm, output_norm;
  };

  at::Tensor embed(const at::Tensor& ids, std::span<const int32_t> lengths) const;
  at::Tensor attend(const at::Tensor& qkv, std::span<const int32_t> lengths) const;
  at::Tensor normalised(const at::Tensor& x, const Norm& norm) const;
  at::Tensor run(const Block& block, const at::Tensor& x, std::span<const int32_t> lengths) const;

  BertConfig config_;
  at::Tensor words_, positions_;  // positions include token type 0
  Norm embedding_norm_;
  std::vector<Block> blocks_;
};

}  // namespace moecollab::encoder
