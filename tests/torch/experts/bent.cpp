// An expert for the host's tests that calls itself a bottleneck. It answers 1 to everything; its
// [config] names what the extension says otherwise.
#include <moecollab/config.hpp>
#include <moecollab/expert.hpp>
#include <string>
#include <vector>

class Bent final : public moecollab::Expert, public moecollab::Bottleneck {
 public:
  explicit Bent(const moecollab::CreateInfo& info)
      : config_(info.config()),
        features_(info.encoder()->hidden * info.layers().size()),
        classes_(info.classes()),
        zeros_(static_cast<size_t>(features_ * classes_)),
        out_bias_(static_cast<size_t>(classes_), has("other_answers") ? 2.0F : 1.0F) {}

  void forward(const moecollab::Batch& in, moecollab::Logits& out) override {
    for (int64_t row = 0; row < in.rows(); ++row) {
      for (int64_t c = 0; c < out.columns(); ++c) out(row, c) = 1;
    }
  }

  moec_bottleneck matrices() const override {
    if (has("no_weights")) throw moecollab::Unsupported("no weights on purpose");
    moec_bottleneck m{};
    m.features = features_ + (has("more_features") ? 1 : 0);
    m.bottleneck = has("no_width") ? 0 : 1;
    m.classes = classes_ + (has("more_classes") ? 1 : 0);
    m.down_weight = m.down_bias = m.up_weight = m.up_bias = m.out_weight = zeros_.data();
    m.out_bias = out_bias_.data();
    return m;
  }

 private:
  bool has(const char* lie) const { return moecollab::config_number(config_, lie, 0, 0, 1) == 1; }
  std::string config_;
  int64_t features_, classes_;
  std::vector<float> zeros_, out_bias_;
};

MOECOLLAB_LIBRARY(Bent, "org.moecollab.test.bent", "1.0.0", moecollab::Input::pooled);
