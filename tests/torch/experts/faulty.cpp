// An expert for the host's tests that misbehaves in the way its [config] names.
#include <moecollab/config.hpp>
#include <moecollab/expert.hpp>
#include <string>

class Faulty final : public moecollab::Expert {
 public:
  explicit Faulty(const moecollab::CreateInfo& info) : config_(info.config()) {
    if (has("throw_in_create")) throw std::runtime_error("create refuses on purpose");
  }
  void forward(const moecollab::Batch& in, moecollab::Logits& out) override {
    if (has("throw_exception")) throw std::runtime_error("forward refuses on purpose");
    if (has("throw_int")) throw 7;
    const int64_t rows = has("unwritten") ? in.rows() - 1 : in.rows();
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t c = 0; c < out.columns(); ++c)
        out(row, c) = has("nan") ? 0.0F / zero_ : static_cast<float>(c);
    }
  }

 private:
  bool has(const char* fault) const {
    return moecollab::config_number(config_, fault, 0, 0, 1) == 1;
  }
  std::string config_;
  float zero_ = 0;
};

MOECOLLAB_LIBRARY(Faulty, "org.moecollab.test.faulty", "1.0.0", moecollab::Input::text);
