// Nearest class centroid: logit = scale · cosine(features, the class's mean direction).
#include <algorithm>
#include <cmath>
#include <moecollab/config.hpp>
#include <moecollab/expert.hpp>

namespace {

class Centroid final : public moecollab::Expert,
                       public moecollab::SelfFitting,
                       public moecollab::Stateful {
 public:
  explicit Centroid(const moecollab::CreateInfo& info)
      : width_(info.encoder()->hidden),
        scale_(moecollab::config_number(info.config(), "scale", 20, 0.1, 1000)),
        state_{{"centroids", {info.classes(), width_}}},
        centroids_(static_cast<size_t>(info.classes() * width_)) {
    moecollab::config_allow(info.config(), {"scale"});
    if (info.layers().size() != 1) throw std::invalid_argument("centroid reads one layer");
    if (info.has_weights()) write_state(0, info.weights("centroids", state_[0].shape));
  }

  void forward(const moecollab::Batch& in, moecollab::Logits& out) override {
    for (int64_t row = 0; row < in.rows(); ++row) {
      const float* x = in.pooled(row).data();
      for (int64_t c = 0; c < out.columns(); ++c) {
        const float* centroid = &centroids_[static_cast<size_t>(c * width_)];
        const double lengths = std::sqrt(dot(x, x) * dot(centroid, centroid));
        out(row, c) = static_cast<float>(lengths > 0 ? scale_ * dot(x, centroid) / lengths : 0);
      }
    }
  }

  void fit_begin(int64_t, int32_t, uint64_t) override {
    std::fill(centroids_.begin(), centroids_.end(), 0.0F);
  }
  void fit_batch(const moecollab::Batch& in, moecollab::View<const int32_t> labels,
                 moecollab::View<const float> weights) override {
    for (int64_t row = 0; row < in.rows(); ++row) {
      const float* x = in.pooled(row).data();
      float* centroid = &centroids_[static_cast<size_t>(labels[row] * width_)];
      const float length = static_cast<float>(std::sqrt(dot(x, x)));
      for (int64_t i = 0; i < width_ && length > 0; ++i)
        centroid[i] += weights[row] * x[i] / length;
    }
  }
  bool fit_epoch_end() override { return false; }  // sums need one pass

  const std::vector<moecollab::TensorSpec>& state() const override { return state_; }
  void read_state(size_t, moecollab::View<float> destination) override {
    std::copy(centroids_.begin(), centroids_.end(), destination.begin());
  }
  void write_state(size_t, moecollab::View<const float> source) override {
    std::copy(source.begin(), source.end(), centroids_.begin());
  }

 private:
  double dot(const float* a, const float* b) const {
    double sum = 0;
    for (int64_t i = 0; i < width_; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
  }

  int64_t width_;
  double scale_;
  std::vector<moecollab::TensorSpec> state_;
  std::vector<float> centroids_;  // [classes, width]: sums of unit vectors; length cancels
};

}  // namespace

MOECOLLAB_LIBRARY(Centroid, "com.example.centroid", "1.0.0", moecollab::Input::pooled_mean);
