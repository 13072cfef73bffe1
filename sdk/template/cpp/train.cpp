// One matrix on what the expert sees of a text. The host trains it: its optimiser moves the
// parameters by the gradients that vjp() adds up.
#include <algorithm>
#include <moecollab/expert.hpp>
using namespace moecollab;

@FEATURES@
class @CLASS@ final : public Expert, public Trainable {
 public:
  explicit @CLASS@(const CreateInfo& info)
      : width_(feature_count(info)),
        parameters_{{{"weight", {info.classes(), width_}}}, {{"bias", {info.classes()}}, true, false}},
        own_(static_cast<size_t>(info.classes() * (width_ + 1))) {
    bind({&own_[0], &own_[static_cast<size_t>(info.classes() * width_)]}, {nullptr, nullptr});
    for (size_t i = 0; info.has_weights() && i < parameters_.size(); ++i) {
      const View<const float> from = info.weights(parameters_[i].name, parameters_[i].shape);
      std::copy(from.begin(), from.end(), values_[i]);
    }
  }

  void forward(const Batch& in, Logits& out) override {  // a row's result depends on that row alone
    for (int64_t row = 0; row < in.rows(); ++row) answer(features(in, row), out.row(row));
  }

  // moecollab.params/1: values and gradients lie in the host's memory.
  const std::vector<ParameterSpec>& parameters() const override { return parameters_; }
  void bind(const std::vector<float*>& values, const std::vector<float*>& grads) override {
    values_ = values;
    grads_ = grads;
  }
  void init(uint64_t) override {  // one layer may begin at 0; draw hidden ones from the seed
    for (size_t i = 0; i < parameters_.size(); ++i)
      std::fill_n(values_[i], parameters_[0].shape[0] * (i == 0 ? width_ : 1), 0.0F);
  }

  // moecollab.train/1: what a forward pass saves, and the gradients from it.
  struct Seen final : Saved {
    explicit Seen(const Batch& batch) : in(batch) {}
    Batch in;
    std::vector<std::vector<float>> x;  // [rows x features]
  };
  std::unique_ptr<Saved> forward_train(const Batch& in, Logits& out, const moec_exec&) override {
    auto seen = std::make_unique<Seen>(in);
    for (int64_t row = 0; row < in.rows(); ++row) {
      seen->x.push_back(features(in, row));
      answer(seen->x.back(), out.row(row));
    }
    return seen;
  }
  void vjp(Saved& saved, const Matrix<const float>& gy, const std::vector<float*>& gx) override {
    const auto& seen = static_cast<Seen&>(saved);
    for (int64_t row = 0; row < gy.rows(); ++row) {
      std::vector<float> g(static_cast<size_t>(width_));  // of the row's features
      for (int64_t c = 0; c < gy.columns(); ++c) {
        for (int64_t i = 0; i < width_; ++i) {
          g[i] += gy(row, c) * values_[0][c * width_ + i];
          grads_[0][c * width_ + i] += gy(row, c) * seen.x[row][i];
        }
        grads_[1][c] += gy(row, c);
      }
      features_vjp(seen.in, row, g, gx);
    }
  }

 private:
  void answer(const std::vector<float>& x, View<float> logits) const {
    for (int64_t c = 0; c < logits.size(); ++c) {
      logits[c] = values_[1][c];
      for (int64_t i = 0; i < width_; ++i) logits[c] += values_[0][c * width_ + i] * x[i];
    }
  }
  int64_t width_;
  std::vector<ParameterSpec> parameters_;
  std::vector<float> own_;  // until the host binds memory of its own
  std::vector<float*> values_, grads_;
};

MOECOLLAB_LIBRARY(@CLASS@, "@ID@", "1.0.0", kInput);
