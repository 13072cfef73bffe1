// One post-LN block of BERT whose weights can be trained.
#pragma once

#include <functional>
#include <moecollab/torch_expert.hpp>
#include <string>

namespace moecollab::deep_adapter {

// How the block's matrices are made: [out, in] and bias [out] under a name as in Hugging Face's
// BertModel. With rank > 0 the matrix stays and A [rank, in], B [out, rank] are trained:
// y = x·(W + 2·B·A)ᵀ + b (LoRA, Hu et al. 2021, α = 2·rank); B starts at zero.
struct Matrix {
  const at::Tensor* weight = nullptr;
  const at::Tensor* bias = nullptr;
  const at::Tensor* a = nullptr;
  const at::Tensor* b = nullptr;
};

// What a block computes with, beside its weights.
struct BlockSettings {
  int64_t heads = 0;
  double ln_eps = 1e-12;
  std::string activation = "gelu";
  double dropout = 0;     // of the two residual branches; 0 outside training
  bool bfloat16 = false;  // products in bf16, sums and norms in float32
};

// Rows padded to one length: x [n, S, H], and mask [n, 1, 1, S] (0 for real tokens, −∞ else) or
// undefined if nothing is padded.
struct Padded {
  at::Tensor x, mask;
};

struct BertBlock {
  Matrix query, key, value, attention_out, up, down;
  const at::Tensor *attention_norm_weight, *attention_norm_bias, *output_norm_weight,
      *output_norm_bias;

  // x [n, S, H] -> [n, S, H] (Hugging Face modeling_bert.py, BertLayer, without attention dropout).
  at::Tensor operator()(const Padded& in, const BlockSettings& settings,
                        const at::Generator& generator) const;
};

// Zeroes a share `p` of the elements and scales the rest by 1 / (1 − p); x itself for p = 0.
at::Tensor dropout(const at::Tensor& x, double p, const at::Generator& generator);

}  // namespace moecollab::deep_adapter
