// An expert that is a residual bottleneck, as the host's own products.
#pragma once

#include <ATen/ATen.h>
#include <moecollab/ext/draft/bottleneck.h>

#include <cstdint>
#include <vector>

#include "encoder/features.h"

namespace moecollab::experts {

// The model of ext/draft/bottleneck.h with W_up folded into W_out, about half of the work:
//
//   y = W_out·h + (W_out·W_up)·relu(W_down·h + b_down) + (W_out·b_up + b_out)
//
// Immutable and thread-safe.
class Bottleneck {
 public:
  // Copies what it needs. `layers`: the pooled features that stand side by side in h, of equal
  // width; model.features is theirs together.
  Bottleneck(const moec_bottleneck& model, std::vector<encoder::PooledKey> layers);

  // [n, C] for rows that hold the layers. Runs on the calling thread alone. A row's logits do not
  // depend on the other rows, to the bit; NaN in its features gives NaN.
  at::Tensor logits(const encoder::Features& rows) const;
  int64_t flops_per_row() const { return flops_per_row_; }

 private:
  struct Rows;

  void block(const Rows& rows, float* scratch, float* logits) const;
  void multiply(const Rows& rows, const float* packed, int64_t width, float* to) const;

  std::vector<encoder::PooledKey> layers_;
  int64_t hidden_, classes_, flops_per_row_;
  int64_t inner_, outer_;  // k and C in whole vectors; the columns that this adds are zeros
  // Tiles of W_downᵀ, each [d, its width]; W_outᵀ [d, outer_]; (W_out·W_up)ᵀ [inner_, outer_].
  at::Tensor down_, out_, folded_;
  std::vector<float> down_bias_, out_bias_;
};

}  // namespace moecollab::experts
