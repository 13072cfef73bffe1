// centroid-cpp with its forward() on an NVIDIA GPU; their weights and answers are the same. CUDA's
// runtime is linked in, so the library loads everywhere; if there is no device, it is the expert
// that refuses to be made, and the host goes by its policy.
#include <algorithm>
#include <cmath>
#include <moecollab/config.hpp>
#include <moecollab/expert.hpp>

#include "cosine.h"

namespace {

class Centroid final : public moecollab::Expert,
                       public moecollab::SelfFitting,
                       public moecollab::Stateful {
 public:
  explicit Centroid(const moecollab::CreateInfo& info)
      : classes_(info.classes()),
        width_(info.encoder()->hidden),
        scale_(static_cast<float>(moecollab::config_number(info.config(), "scale", 20, 0.1, 1000))),
        state_{{"centroids", {classes_, width_}}},
        centroids_(static_cast<size_t>(classes_ * width_)) {
    moecollab::config_allow(info.config(), {"scale"});
    if (info.layers().size() != 1) throw std::invalid_argument("centroid-cuda reads one layer");
    if (info.has_weights()) write_state(0, info.weights("centroids", state_[0].shape));
    const std::string why = cuda::why_no_device();
    if (!why.empty())
      throw moecollab::Unsupported("no CUDA device: " + why +
                                   "; centroid-cuda needs an NVIDIA GPU and its driver");
  }

  Flops flops() const override { return {2 * width_ * (classes_ + 1), 0, 0}; }

  void forward(const moecollab::Batch& in, moecollab::Logits& out) override {
    if (stale_) upload();
    cosines_.compute(in.pooled(0).data(), in.rows(), scale_, out.row(0).data());  // rows in one run
  }

  void fit_begin(int64_t, int32_t, uint64_t) override {
    std::fill(centroids_.begin(), centroids_.end(), 0.0F);
    stale_ = true;
  }
  void fit_batch(const moecollab::Batch& in, moecollab::View<const int32_t> labels,
                 moecollab::View<const float> weights) override {
    for (int64_t row = 0; row < in.rows(); ++row) {
      const float* x = in.pooled(row).data();
      float* centroid = &centroids_[static_cast<size_t>(labels[row] * width_)];
      const float length = static_cast<float>(length_of(x));
      for (int64_t i = 0; i < width_ && length > 0; ++i)
        centroid[i] += weights[row] * x[i] / length;
    }
    stale_ = true;
  }
  bool fit_epoch_end() override { return false; }  // sums need one pass

  const std::vector<moecollab::TensorSpec>& state() const override { return state_; }
  void read_state(size_t, moecollab::View<float> destination) override {
    std::copy(centroids_.begin(), centroids_.end(), destination.begin());
  }
  void write_state(size_t, moecollab::View<const float> source) override {
    std::copy(source.begin(), source.end(), centroids_.begin());
    stale_ = true;
  }

 private:
  double length_of(const float* x) const {
    double sum = 0;
    for (int64_t i = 0; i < width_; ++i) sum += static_cast<double>(x[i]) * x[i];
    return std::sqrt(sum);
  }

  // The device gets directions, so that the kernel need not know the centroids' lengths.
  void upload() {
    std::vector<float> directions = centroids_;
    for (int64_t c = 0; c < classes_; ++c) {
      float* direction = &directions[static_cast<size_t>(c * width_)];
      const double length = length_of(direction);
      for (int64_t i = 0; i < width_ && length > 0; ++i)
        direction[i] = static_cast<float>(direction[i] / length);
    }
    cosines_.set_directions(directions.data(), classes_, width_);
    stale_ = false;
  }

  int64_t classes_, width_;
  float scale_;
  std::vector<moecollab::TensorSpec> state_;
  std::vector<float> centroids_;  // [classes, width]: sums of unit vectors; length cancels
  bool stale_ = true;             // the device has not these centroids
  cuda::Cosines cosines_;
};

}  // namespace

MOECOLLAB_LIBRARY(Centroid, "com.example.centroid-cuda", "1.0.0", moecollab::Input::pooled_mean);
