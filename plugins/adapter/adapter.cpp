// The stock adapter, equation (1): a residual bottleneck on frozen pooled features and a linear
// head.
//
//   u  = W_down·h + b_d            [k]
//   h' = h + W_up·relu(u) + b_u    [d]
//   y  = W_out·h' + b_o            [C]
//
// h [d] holds the pooled features of the manifest's layers, one after the other: d = layers × H.
#include <algorithm>
#include <cmath>
#include <moecollab/config.hpp>
#include <moecollab/expert.hpp>
#include <optional>

#include "matrix_product.h"

namespace moecollab::adapter {
namespace {

// Rows worked on at a time, so that what lies between the products stays in the cache.
constexpr int64_t kBlock = 256;

// The order of parameters() and of bind().
enum Parameter { kDownWeight, kDownBias, kUpWeight, kUpBias, kOutWeight, kOutBias };

// Element i of the seed's stream: splitmix64, uniform in [-1, 1).
float uniform(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  z ^= z >> 31;
  return static_cast<float>(z >> 40) * 0x1p-23F - 1.0F;
}

// Every row of rows [n × width] becomes values [width].
void set_rows(float* rows, const float* values, int64_t n, int64_t width) {
  for (int64_t i = 0; i < n; ++i) std::copy_n(values, width, rows + i * width);
}

// sums [width] += the sum of rows [n × width].
void add_rows(float* sums, const float* rows, int64_t n, int64_t width) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < width; ++j) sums[j] += rows[i * width + j];
  }
}

class Adapter final : public Expert, public Trainable, public Bottleneck {
 public:
  explicit Adapter(const CreateInfo& info)
      : hidden_(info.encoder()->hidden),
        d_(hidden_ * info.layers().size()),
        k_(config_integer(info.config(), "bottleneck", 64, 1, 65536)),
        classes_(info.classes()),
        parameters_{
            {{"down.weight", {k_, d_}}, true, true},      {{"down.bias", {k_}}, true, false},
            {{"up.weight", {d_, k_}}, true, true},        {{"up.bias", {d_}}, true, false},
            {{"out.weight", {classes_, d_}}, true, true}, {{"out.bias", {classes_}}, true, false}} {
    config_allow(info.config(), {"bottleneck"});
    if (info.has_weights()) copy_weights(info);
  }

  Flops flops() const override { return {2 * (2 * d_ * k_ + d_ * classes_), 0, 0}; }

  void forward(const Batch& in, Logits& out) override {
    check_ready();
    const Packed changing = bound_.empty() ? Packed() : pack();
    // Only now: a host that computes equation (1) by itself never comes here.
    if (bound_.empty() && !fixed_) fixed_ = pack();
    const Packed& weights = fixed_ ? *fixed_ : changing;
    const int64_t block = std::min(kBlock, in.rows());
    std::vector<float> h(size(block * d_)), a(size(block * k_)), adapted(size(block * d_));
    for (int64_t first = 0; first < in.rows(); first += kBlock) {
      const int64_t n = std::min(kBlock, in.rows() - first);
      run(in, first, n, weights, {h.data(), a.data(), adapted.data(), out.row(first).data()});
    }
  }

  const std::vector<ParameterSpec>& parameters() const override { return parameters_; }

  void bind(const std::vector<float*>& values, const std::vector<float*>& grads) override {
    fixed_.reset();
    values_.assign(values.begin(), values.end());
    bound_ = values;
    grads_ = grads;
  }

  // W_down and W_out uniform in ±1/√d, the rest zero: an untrained adapter is a linear probe.
  void init(uint64_t seed) override {
    check_bound();
    const float bound = 1.0F / std::sqrt(static_cast<float>(d_));
    for (size_t p = 0; p < parameters_.size(); ++p) {
      const bool random = p == kDownWeight || p == kOutWeight;
      const uint64_t stream = seed ^ (p * 0xD1342543DE82EF95U);
      for (int64_t i = 0; i < count(p); ++i) {
        bound_[p][i] = random ? bound * uniform(stream, static_cast<uint64_t>(i)) : 0.0F;
      }
    }
  }

  std::unique_ptr<Trainable::Saved> forward_train(const Batch& in, Logits& out,
                                                  const moec_exec&) override {
    check_bound();
    auto saved = std::make_unique<Saved>();
    saved->rows = in.rows();
    saved->h.resize(size(in.rows() * d_));
    saved->a.resize(size(in.rows() * k_));
    saved->adapted.resize(size(in.rows() * d_));
    const Packed weights = pack();
    for (int64_t first = 0; first < in.rows(); first += kBlock) {
      run(in, first, std::min(kBlock, in.rows() - first), weights,
          {&saved->h[size(first * d_)], &saved->a[size(first * k_)],
           &saved->adapted[size(first * d_)], out.row(first).data()});
    }
    return saved;
  }

  void vjp(Trainable::Saved& context, const Matrix<const float>& gy,
           const std::vector<float*>& gx) override {
    const Saved& saved = static_cast<const Saved&>(context);
    if (gy.rows() != saved.rows) throw std::invalid_argument("gy has other rows than the forward");
    if (!gx.empty() && static_cast<int64_t>(gx.size()) * hidden_ != d_) {
      throw std::invalid_argument("gx has " + std::to_string(gx.size()) + " entries, expected " +
                                  std::to_string(d_ / hidden_));
    }
    for (int64_t first = 0; first < saved.rows; first += kBlock) {
      vjp_block(saved, first, std::min(kBlock, saved.rows - first), gy.row(first).data(), gx);
    }
  }

  moec_bottleneck matrices() const override {
    if (values_.empty()) throw Unsupported("no weights were given and none are bound");
    moec_bottleneck m{};
    m.features = d_;
    m.bottleneck = k_;
    m.classes = classes_;
    m.down_weight = values_[kDownWeight];
    m.down_bias = values_[kDownBias];
    m.up_weight = values_[kUpWeight];
    m.up_bias = values_[kUpBias];
    m.out_weight = values_[kOutWeight];
    m.out_bias = values_[kOutBias];
    return m;
  }

 private:
  struct Saved final : Trainable::Saved {
    int64_t rows = 0;
    std::vector<float> h, a, adapted;  // h [n, d], relu(u) [n, k], h' [n, d]
  };
  // Where a block of rows is computed.
  struct Buffers {
    float *h, *a, *adapted, *y;
  };

  static size_t size(int64_t count) { return static_cast<size_t>(count); }

  int64_t count(size_t p) const {
    int64_t n = 1;
    for (const int64_t extent : parameters_[p].shape) n *= extent;
    return n;
  }

  void copy_weights(const CreateInfo& info) {
    if (info.raw().weight_count != parameters_.size()) {
      throw std::invalid_argument("there are " + std::to_string(info.raw().weight_count) +
                                  " weights, expected " + std::to_string(parameters_.size()));
    }
    for (const ParameterSpec& spec : parameters_) {
      const View<const float> weight = info.weights(spec.name, spec.shape);
      own_.emplace_back(weight.begin(), weight.end());
    }
    for (const std::vector<float>& weight : own_) values_.push_back(weight.data());
  }

  // The weights as products read them.
  struct Packed {
    PackedMatrix down, up, out;
  };
  Packed pack() const {
    return {{transposed(values_[kDownWeight], d_), d_, k_},
            {transposed(values_[kUpWeight], k_), k_, d_},
            {transposed(values_[kOutWeight], d_), d_, classes_}};
  }

  void check_ready() const {
    if (values_.empty()) throw std::invalid_argument("no weights were given and none are bound");
  }
  void check_bound() const {
    if (grads_.empty()) throw std::invalid_argument("training needs bound parameters");
  }

  // Equation (1) for rows [first, first + n).
  void run(const Batch& in, int64_t first, int64_t n, const Packed& weights,
           const Buffers& to) const {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t slot = 0; slot < in.slots(); ++slot) {
        std::copy_n(in.pooled(first + i, slot).data(), hidden_, to.h + i * d_ + slot * hidden_);
      }
    }
    set_rows(to.a, values_[kDownBias], n, k_);
    add_product(to.a, plain(to.h, d_), weights.down, n);
    // Not max(): it would turn a NaN into 0.
    for (int64_t i = 0; i < n * k_; ++i) to.a[i] = to.a[i] < 0 ? 0.0F : to.a[i];

    set_rows(to.adapted, values_[kUpBias], n, d_);
    for (int64_t i = 0; i < n * d_; ++i) to.adapted[i] += to.h[i];
    add_product(to.adapted, plain(to.a, k_), weights.up, n);

    set_rows(to.y, values_[kOutBias], n, classes_);
    add_product(to.y, plain(to.adapted, d_), weights.out, n);
  }

  // With g• the gradient of •:  gW_out += gyᵀ·h', gh' = gy·W_out, gW_up += gh'ᵀ·relu(u),
  // gu = (gh'·W_up)·[u > 0], gW_down += guᵀ·h, gh = gh' + gu·W_down.
  void vjp_block(const Saved& saved, int64_t first, int64_t n, const float* gy,
                 const std::vector<float*>& gx) const {
    const float* h = &saved.h[size(first * d_)];
    const float* a = &saved.a[size(first * k_)];
    const float* adapted = &saved.adapted[size(first * d_)];
    std::vector<float> gh(size(n * d_)), gu(size(n * k_));

    add_rows(grads_[kOutBias], gy, n, classes_);
    add_product(grads_[kOutWeight], transposed(gy, classes_), plain(adapted, d_), classes_, n, d_);
    add_product(gh.data(), plain(gy, classes_), plain(values_[kOutWeight], d_), n, classes_, d_);

    add_rows(grads_[kUpBias], gh.data(), n, d_);
    add_product(grads_[kUpWeight], transposed(gh.data(), d_), plain(a, k_), d_, n, k_);
    add_product(gu.data(), plain(gh.data(), d_), plain(values_[kUpWeight], k_), n, d_, k_);
    for (size_t i = 0; i < gu.size(); ++i) gu[i] = a[i] > 0 ? gu[i] : 0.0F;

    add_rows(grads_[kDownBias], gu.data(), n, k_);
    add_product(grads_[kDownWeight], transposed(gu.data(), k_), plain(h, d_), k_, n, d_);
    const auto wanted = [](const float* to) { return to != nullptr; };
    if (std::none_of(gx.begin(), gx.end(), wanted)) return;
    add_product(gh.data(), plain(gu.data(), k_), plain(values_[kDownWeight], d_), n, k_, d_);
    for (size_t slot = 0; slot < gx.size(); ++slot) {
      for (int64_t i = 0; gx[slot] != nullptr && i < n; ++i) {
        std::copy_n(&gh[size(i * d_) + slot * size(hidden_)], hidden_,
                    gx[slot] + (first + i) * hidden_);
      }
    }
  }

  int64_t hidden_, d_, k_, classes_;
  std::vector<ParameterSpec> parameters_;
  std::vector<std::vector<float>> own_;  // the weights that create() gave
  std::vector<const float*> values_;     // own_ or the host's; empty: nothing learnt yet
  std::optional<Packed> fixed_;          // own_, which no training changes
  std::vector<float*> bound_, grads_;    // the host's; empty until bind()
};

}  // namespace
}  // namespace moecollab::adapter

MOECOLLAB_LIBRARY(moecollab::adapter::Adapter, "org.moecollab.adapter", "0.1.0",
                  moecollab::Input::pooled);
