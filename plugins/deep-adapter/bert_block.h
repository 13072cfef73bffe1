// One post-LN block of BERT whose weights can be trained.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "packing.h"

namespace moecollab::deep_adapter {

// How the block's matrices are made: [out, in] and bias [out] under a name as in Hugging Face's
// BertModel. With A [rank, in], B [out, rank] the matrix stays and these are trained:
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
  double dropout = 0;                    // of the two residual branches; 0 outside training
  at::ScalarType products = at::kFloat;  // or bfloat16; sums and norms are float32
};

// The matrix that a product takes: W, or W + 2·B·A.
at::Tensor weight_of(const Matrix& m);

struct BertBlock {
  Matrix query, key, value, attention_out, up, down;
  const at::Tensor *attention_norm_weight, *attention_norm_bias, *output_norm_weight,
      *output_norm_bias;

  // x [rows, H] -> [rows, H], float32 (Hugging Face modeling_bert.py, BertLayer, without attention
  // dropout).
  at::Tensor operator()(const at::Tensor& x, const c10::intrusive_ptr<Packing>& packing,
                        const BlockSettings& settings, const at::Generator& generator) const;
};

}  // namespace moecollab::deep_adapter
