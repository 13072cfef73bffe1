#include "experts/bottleneck.h"

#include <ATen/native/CPUBlas.h>

#include <algorithm>

#include "encoder/kernels.h"

namespace moecollab::experts {
namespace {

using encoder::kTile;

constexpr int64_t kRows = 64;    // computed together
constexpr int64_t kVector = 16;  // the widest, in numbers: a head of four classes needs no tile

int64_t width_of_tile(int64_t first, int64_t columns) { return std::min(kTile, columns - first); }

// c [rows, n] (+)= a [rows, depth] · b [depth, n].
void multiply_add(int64_t rows, int64_t n, int64_t depth, const float* a, int64_t a_stride,
                  const float* b, float* c, bool add) {
  at::native::cpublas::brgemm(rows, n, depth, a_stride, n, n, add, a, b, c, /*is_vnni=*/false);
}

// Rows [first, first + width) of `matrix` [rows, depth] as columns at `to`, [depth, width]; what
// lies beyond the last row stays as it is.
void transpose(const float* matrix, int64_t rows, int64_t depth, int64_t first, int64_t width,
               float* to) {
  for (int64_t row = first; row < std::min(first + width, rows); ++row) {
    for (int64_t p = 0; p < depth; ++p) to[p * width + row - first] = matrix[row * depth + p];
  }
}

// W_out·W_up and W_out·b_up + b_out, [C, k + 1] by rows. In double: it stands for two products.
std::vector<double> fold(const moec_bottleneck& m) {
  const int64_t width = m.bottleneck + 1;
  std::vector<double> folded(static_cast<size_t>(m.classes * width));
  for (int64_t c = 0; c < m.classes; ++c) {
    double* row = folded.data() + c * width;
    for (int64_t i = 0; i < m.features; ++i) {
      const double factor = m.out_weight[c * m.features + i];
      const float* up = m.up_weight + i * m.bottleneck;
      for (int64_t j = 0; j < m.bottleneck; ++j) row[j] += factor * up[j];
      row[m.bottleneck] += factor * m.up_bias[i];
    }
    row[m.bottleneck] += m.out_bias[c];
  }
  return folded;
}

// Adds the bias and takes what is below 0 for 0. Not max(): it would turn a NaN into 0.
void activate(float* u, int64_t rows, int64_t width, const float* bias) {
  for (int64_t row = 0; row < rows; ++row, u += width) {
    for (int64_t j = 0; j < width; ++j) {
      const float value = u[j] + bias[j];
      u[j] = value < 0 ? 0.0F : value;
    }
  }
}

}  // namespace

// Rows [first, first + count) of each layer's features.
struct Bottleneck::Rows {
  const std::vector<at::Tensor>& layers;
  int64_t first, count;
};

Bottleneck::Bottleneck(const moec_bottleneck& model, std::vector<encoder::PooledKey> layers)
    : layers_(std::move(layers)),
      hidden_(model.features / static_cast<int64_t>(layers_.size())),
      classes_(model.classes),
      flops_per_row_(2 * (model.features * (model.bottleneck + model.classes) +
                          model.bottleneck * model.classes)),
      inner_(encoder::rounded_up(model.bottleneck, kVector)),
      outer_(encoder::rounded_up(model.classes, kVector)),
      down_(at::zeros({model.features, inner_}, at::kFloat)),
      out_(at::zeros({model.features, outer_}, at::kFloat)),
      folded_(at::zeros({inner_, outer_}, at::kFloat)),
      down_bias_(static_cast<size_t>(inner_)),
      out_bias_(static_cast<size_t>(outer_)) {
  float* down = down_.mutable_data_ptr<float>();
  for (int64_t first = 0; first < inner_; first += kTile) {
    transpose(model.down_weight, model.bottleneck, model.features, first,
              width_of_tile(first, inner_), down + first * model.features);
  }
  transpose(model.out_weight, classes_, model.features, 0, outer_, out_.mutable_data_ptr<float>());
  std::copy_n(model.down_bias, model.bottleneck, down_bias_.begin());
  const std::vector<double> folded = fold(model);
  float* to = folded_.mutable_data_ptr<float>();
  for (int64_t c = 0; c < classes_; ++c) {
    const double* row = folded.data() + c * (model.bottleneck + 1);
    for (int64_t j = 0; j < model.bottleneck; ++j) {
      to[j * outer_ + c] = static_cast<float>(row[j]);
    }
    out_bias_[static_cast<size_t>(c)] = static_cast<float>(row[model.bottleneck]);
  }
}

at::Tensor Bottleneck::logits(const encoder::Features& rows) const {
  std::vector<at::Tensor> layers;
  for (const encoder::PooledKey& key : layers_) layers.push_back(rows.pooled.at(key).contiguous());
  at::Tensor logits = at::empty({rows.rows(), classes_}, at::kFloat);
  std::vector<float> scratch(static_cast<size_t>(std::min(kRows, rows.rows()) * (kTile + outer_)));
  for (int64_t first = 0; first < rows.rows(); first += kRows) {
    block({layers, first, std::min(kRows, rows.rows() - first)}, scratch.data(),
          logits.mutable_data_ptr<float>() + first * classes_);
  }
  return logits;
}

// Every row takes the same steps whatever stands beside it: brgemm sums along the depth in order.
void Bottleneck::block(const Rows& rows, float* scratch, float* logits) const {
  float *y = scratch, *u = scratch + rows.count * outer_;
  multiply(rows, out_.const_data_ptr<float>(), outer_, y);
  for (int64_t first = 0; first < inner_; first += kTile) {
    const int64_t width = width_of_tile(first, inner_);
    multiply(rows, down_.const_data_ptr<float>() + first * down_.size(0), width, u);
    activate(u, rows.count, width, down_bias_.data() + first);
    multiply_add(rows.count, outer_, width, u, width,
                 folded_.const_data_ptr<float>() + first * outer_, y, /*add=*/true);
  }
  for (int64_t row = 0; row < rows.count; ++row) {
    for (int64_t c = 0; c < classes_; ++c) {
      logits[row * classes_ + c] = y[row * outer_ + c] + out_bias_[static_cast<size_t>(c)];
    }
  }
}

// to [rows, width] = h·packed, layer by layer.
void Bottleneck::multiply(const Rows& rows, const float* packed, int64_t width, float* to) const {
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    multiply_add(rows.count, width, hidden_,
                 rows.layers[layer].const_data_ptr<float>() + rows.first * hidden_, hidden_,
                 packed + static_cast<int64_t>(layer) * hidden_ * width, to, layer > 0);
  }
}

}  // namespace moecollab::experts
