// Where the results of passes go: the rows of features.
#pragma once

#include <span>
#include <string>

#include "base/compute.h"
#include "encoder/bert.h"
#include "encoder/features.h"

namespace moecollab::encoder {

// What passes gave for some texts: lengths[i] tokens of the text that is row rows[i] of the
// features. Calls for other rows may run at the same time. All throw E_ENCODER, naming
// folder and precision, for values that are not finite.
class FeatureRows {
 public:
  // Rows of `out`, which has room for all of `request`. `folder`: the encoder's, for messages.
  FeatureRows(std::string folder, Precision precision, const FeatureRequest& request,
              Features& out);

  // All of the request that is of the layer, from the states of its tokens.
  void take(int layer, const States& states, std::span<const int32_t> lengths,
            std::span<const int64_t> rows, const Kernels& kernels);
  // Pooled features [n, H].
  void take(const PooledKey& key, const at::Tensor& pooled, std::span<const int32_t> lengths,
            std::span<const int64_t> rows);
  // The states of the layer themselves, if the request is for them.
  void keep(int layer, const States& states, std::span<const int32_t> lengths,
            std::span<const int64_t> rows);

 private:
  float* pooled_row(const PooledKey& key, int64_t row);
  // Tokens to where `row_offsets` has them in `to` [T, H].
  void copy(const States& states, std::span<const int32_t> lengths, std::span<const int64_t> rows,
            std::span<const int32_t> row_offsets, const at::Tensor& to) const;
  void require_finite(std::span<const float> features, int32_t tokens) const;

  std::string folder_;
  Precision precision_;
  const FeatureRequest& request_;
  Features& out_;
};

}  // namespace moecollab::encoder
