// A hidden layer whose init() begins at 0, as that of a single layer may. Each gradient is right,
// and 0: no step ever moves it, and every training ends at chance without a word.
#include <algorithm>
#include <cmath>
#include <moecollab/expert.hpp>

namespace {
using namespace moecollab;
constexpr int64_t kUnits = 4;

class EqualUnits final : public Expert, public Trainable {
 public:
  explicit EqualUnits(const CreateInfo& info)
      : width_(info.encoder()->hidden),
        classes_(info.classes()),
        parameters_{{{"inner", {kUnits, width_}}}, {{"outer", {classes_, kUnits}}}},
        own_(static_cast<size_t>(kUnits * (width_ + classes_))) {
    bind({own_.data(), own_.data() + kUnits * width_}, {nullptr, nullptr});
    for (size_t i = 0; info.has_weights() && i < 2; ++i) {
      const View<const float> from = info.weights(parameters_[i].name, parameters_[i].shape);
      std::copy(from.begin(), from.end(), values_[i]);
    }
  }
  void forward(const Batch& in, Logits& out) override {
    for (int64_t row = 0; row < in.rows(); ++row) answer(units(in, row), out.row(row));
  }
  const std::vector<ParameterSpec>& parameters() const override { return parameters_; }
  void bind(const std::vector<float*>& values, const std::vector<float*>& grads) override {
    values_ = values;
    grads_ = grads;
  }
  void init(uint64_t) override {
    std::fill_n(values_[0], kUnits * width_, 0.0F);
    std::fill_n(values_[1], classes_ * kUnits, 0.0F);
  }
  struct Seen final : Saved {
    explicit Seen(const Batch& batch) : in(batch) {}
    Batch in;
    std::vector<std::vector<float>> h;
  };
  std::unique_ptr<Saved> forward_train(const Batch& in, Logits& out, const moec_exec&) override {
    auto seen = std::make_unique<Seen>(in);
    for (int64_t row = 0; row < in.rows(); ++row) {
      seen->h.push_back(units(in, row));
      answer(seen->h.back(), out.row(row));
    }
    return seen;
  }
  void vjp(Saved& saved, const Matrix<const float>& gy, const std::vector<float*>& gx) override {
    const auto& seen = static_cast<Seen&>(saved);
    for (int64_t row = 0; row < gy.rows(); ++row) {
      const std::vector<float>& h = seen.h[static_cast<size_t>(row)];
      const View<const float> x = seen.in.pooled(row);
      float* to = gx[0] == nullptr ? nullptr : gx[0] + row * width_;
      if (to != nullptr) std::fill_n(to, width_, 0.0F);
      for (int64_t u = 0; u < kUnits; ++u) {
        float g = 0;
        for (int64_t c = 0; c < classes_; ++c) {
          g += gy(row, c) * values_[1][c * kUnits + u];
          grads_[1][c * kUnits + u] += gy(row, c) * h[static_cast<size_t>(u)];
        }
        g *= 1 - h[static_cast<size_t>(u)] * h[static_cast<size_t>(u)];
        for (int64_t i = 0; i < width_; ++i) {
          grads_[0][u * width_ + i] += g * x[i];
          if (to != nullptr) to[i] += g * values_[0][u * width_ + i];
        }
      }
    }
  }

 private:
  std::vector<float> units(const Batch& in, int64_t row) const {
    std::vector<float> h(kUnits);
    for (int64_t u = 0; u < kUnits; ++u) {
      float sum = 0;
      for (int64_t i = 0; i < width_; ++i) sum += values_[0][u * width_ + i] * in.pooled(row)[i];
      h[static_cast<size_t>(u)] = std::tanh(sum);
    }
    return h;
  }
  void answer(const std::vector<float>& h, View<float> logits) const {
    for (int64_t c = 0; c < classes_; ++c) {
      logits[c] = 0;
      for (int64_t u = 0; u < kUnits; ++u)
        logits[c] += values_[1][c * kUnits + u] * h[static_cast<size_t>(u)];
    }
  }
  int64_t width_, classes_;
  std::vector<ParameterSpec> parameters_;
  std::vector<float> own_;
  std::vector<float*> values_, grads_;
};
}  // namespace

MOECOLLAB_LIBRARY(EqualUnits, "org.moecollab.zoo", "1.0.0", Input::pooled_mean);
