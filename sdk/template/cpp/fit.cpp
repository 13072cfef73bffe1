// A text gets the label whose training texts' features point the same way as its own.
#include <cmath>
#include <moecollab/expert.hpp>
#include <numeric>
using namespace moecollab;

@FEATURES@
class @CLASS@ final : public Expert, public SelfFitting, public Stateful {
 public:
  explicit @CLASS@(const CreateInfo& info)
      : width_(feature_count(info)), state_{{"sums", {info.classes(), width_}}} {
    sums_.resize(static_cast<size_t>(info.classes() * width_));
    if (info.has_weights()) write_state(0, info.weights("sums", state_[0].shape));
  }

  void forward(const Batch& in, Logits& out) override {  // a row's result depends on that row alone
    for (int64_t row = 0; row < in.rows(); ++row) {
      const std::vector<float> x = features(in, row);
      for (int64_t c = 0; c < out.columns(); ++c)
        out(row, c) = dot(x.data(), sum(c)) / (std::sqrt(dot(sum(c), sum(c))) + 1e-6F);
    }
  }

  // moecollab.fit/1, learning by itself: adds up each label's texts.
  void fit_begin(int64_t, int32_t, uint64_t) override { sums_.assign(sums_.size(), 0); }
  void fit_batch(const Batch& in, View<const int32_t> labels, View<const float> weights) override {
    for (int64_t row = 0; row < in.rows(); ++row) {
      const std::vector<float> x = features(in, row);
      for (int64_t i = 0; i < width_; ++i) sum(labels[row])[i] += weights[row] * x[i];
    }
  }
  bool fit_epoch_end() override { return false; }  // another pass would change nothing

  // moecollab.state/1, what was learnt: the tensors of weights.safetensors.
  const std::vector<TensorSpec>& state() const override { return state_; }
  void read_state(size_t, View<float> to) override { std::copy(sums_.begin(), sums_.end(), to.begin()); }
  void write_state(size_t, View<const float> from) override { sums_.assign(from.begin(), from.end()); }

 private:
  float* sum(int64_t c) { return &sums_[static_cast<size_t>(c * width_)]; }
  float dot(const float* a, const float* b) { return std::inner_product(a, a + width_, b, 0.0F); }
  int64_t width_;
  std::vector<TensorSpec> state_;
  std::vector<float> sums_;  // [classes, width]
};

MOECOLLAB_LIBRARY(@CLASS@, "@ID@", "1.0.0", kInput);
