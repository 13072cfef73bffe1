#include "encoder/feature_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::encoder {

FeatureRows::FeatureRows(std::string folder, Precision precision, const FeatureRequest& request,
                         Features& out)
    : folder_(std::move(folder)), precision_(precision), request_(request), out_(out) {}

float* FeatureRows::pooled_row(const PooledKey& key, int64_t row) {
  const at::Tensor& pooled = out_.pooled.at(key);
  return pooled.mutable_data_ptr<float>() + row * pooled.size(1);
}

void FeatureRows::take(int layer, const States& states, std::span<const int32_t> lengths,
                       std::span<const int64_t> rows, const Kernels& kernels) {
  for (const PooledKey& key : request_.pooled) {
    if (key.layer != layer) continue;
    const int64_t hidden = out_.pooled.at(key).size(1);
    const float* token = states.values;
    for (size_t i = 0; i < lengths.size(); ++i, token += lengths[i - 1] * states.stride) {
      float* row = pooled_row(key, rows[i]);
      // Mean over the tokens of each sequence, or its first token.
      kernels.mean(token, states.stride, key.pooling == Pooling::kMean ? lengths[i] : 1, hidden,
                   row);
      require_finite({row, static_cast<size_t>(hidden)}, lengths[i]);
    }
  }
  keep(layer, states, lengths, rows);
}

void FeatureRows::take(const PooledKey& key, const at::Tensor& pooled,
                       std::span<const int32_t> lengths, std::span<const int64_t> rows) {
  const int64_t hidden = pooled.size(1);
  const float* row = pooled.const_data_ptr<float>();
  for (size_t i = 0; i < rows.size(); ++i, row += hidden) {
    require_finite({row, static_cast<size_t>(hidden)}, lengths[i]);
    std::copy_n(row, hidden, pooled_row(key, rows[i]));
  }
}

void FeatureRows::keep(int layer, const States& states, std::span<const int32_t> lengths,
                       std::span<const int64_t> rows) {
  if (request_.hidden.contains(layer))
    copy(states, lengths, rows, out_.row_offsets, out_.hidden.at(layer));
  if (request_.stop_at == layer)
    copy(states, lengths, rows, out_.stopped->row_offsets, out_.stopped->states);
}

void FeatureRows::copy(const States& states, std::span<const int32_t> lengths,
                       std::span<const int64_t> rows, std::span<const int32_t> row_offsets,
                       const at::Tensor& to) const {
  const int64_t hidden = to.size(1);
  const float* token = states.values;
  for (size_t i = 0; i < lengths.size(); ++i) {
    int64_t place = row_offsets[static_cast<size_t>(rows[i])] * hidden;
    for (int32_t t = 0; t < lengths[i]; ++t, token += states.stride, place += hidden) {
      require_finite({token, static_cast<size_t>(hidden)}, lengths[i]);
      if (to.scalar_type() == at::kBFloat16) {
        std::copy_n(token, hidden, to.mutable_data_ptr<at::BFloat16>() + place);
      } else {
        std::copy_n(token, hidden, to.mutable_data_ptr<float>() + place);
      }
    }
  }
}

void FeatureRows::require_finite(std::span<const float> features, int32_t tokens) const {
  if (std::ranges::all_of(features, [](float x) { return std::isfinite(x); })) return;
  throw Error("E_ENCODER",
              fmt::format("{}: in {} the encoder gives NaN or infinity for a text of {} tokens",
                          escaped(folder_), name(precision_), tokens),
              precision_ == Precision::kFp32 ? "the weights are damaged: copy them again"
                                             : "use --precision fp32");
}

}  // namespace moecollab::encoder
