// What the encoder gives for a set of texts, and what is asked of it.
#pragma once

#include <ATen/ATen.h>

#include <compare>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "encoder/device.h"
#include "encoder/pooling.h"

namespace moecollab::encoder {

// Pooled states of one layer (0 = embeddings, i = after block i).
struct PooledKey {
  int layer = 0;
  Pooling pooling = Pooling::kMean;
  auto operator<=>(const PooledKey&) const = default;
};

// The union of what several readers need.
struct FeatureRequest {
  std::set<PooledKey> pooled;
  std::set<int> hidden;
  bool tokens = false;
  // Passes stop at this layer, none of the above is deeper, and their states are kept, so that
  // Encoder::deepen() continues from them.
  std::optional<int> stop_at = std::nullopt;
  bool bf16_states = false;  // hidden states are kept as bfloat16, in half the memory

  bool empty() const { return pooled.empty() && hidden.empty() && !tokens && !stop_at; }
  // The deepest layer in it; 0 if there is none.
  int depth() const;
  // What lies no deeper than that layer.
  FeatureRequest up_to(int layer) const;
  // The other's `stop_at` counts if it has one.
  void merge(const FeatureRequest& other);
};

// Where passes stopped: the states of one layer.
struct StoppedPasses {
  int layer = 0;
  std::vector<int32_t> row_offsets;  // [n + 1]; a row whose features were cached has no tokens
  at::Tensor states;                 // [T, H] float32
};

// Features of n texts, in the order of the texts. Tensors are on the CPU, contiguous.
struct Features {
  std::vector<std::string_view> texts;     // [n], borrowed
  std::vector<int64_t> row_ids;            // [n]
  std::map<PooledKey, at::Tensor> pooled;  // each [n, H] float32
  std::vector<int32_t>
      row_offsets;       // [n + 1] into the T tokens; empty if neither of the next was asked for
  at::Tensor token_ids;  // [T] int32, if asked for
  std::map<int, at::Tensor> hidden;      // each [T, H] float32, or bfloat16 if asked for
  std::optional<StoppedPasses> stopped;  // if asked for

  int64_t rows() const { return static_cast<int64_t>(texts.size()); }
  // Tokens of a row; 0 if neither tokens nor hidden states were asked for.
  int64_t tokens(int64_t row) const {
    const auto i = static_cast<size_t>(row);
    return row_offsets.empty() ? 0 : row_offsets[i + 1] - row_offsets[i];
  }
  // Whether all of the request is here, but for `stop_at`.
  bool holds(const FeatureRequest& request) const;
  // What of the request is here; without where passes stopped, as the two below.
  Features part(const FeatureRequest& request) const;
  // The given rows, in the given order; tensors are copies, and hidden states float32.
  Features select(std::span<const int64_t> rows) const;
  // Rows [first, first + count); pooled and hidden are views, but for states in bfloat16, of which
  // it has float32 copies.
  Features slice(int64_t first, int64_t count) const;
};

// An int64 tensor of the indices, for index_select.
at::Tensor index_tensor(std::span<const int64_t> indices, at::Device device = kHost);

// The numbers of a tensor, row by row.
std::vector<double> to_doubles(const at::Tensor& tensor);
std::vector<int> to_ints(const at::Tensor& tensor);

}  // namespace moecollab::encoder
