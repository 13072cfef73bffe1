// An expert by somebody else, written with LibTorch: one hidden layer on the encoder's mean
// features. Nothing here trains it: the host does, through the graph that forward() leaves.
#include <moecollab/config.hpp>
#include <moecollab/torch_expert.hpp>

namespace {

class Mlp final : public moecollab::TorchExpert {
 public:
  explicit Mlp(const moecollab::CreateInfo& info)
      : TorchExpert(info),
        width_(moecollab::config_integer(info.config(), "width", 128, 1, 65536)),
        in_(info.encoder()->hidden),
        inner_(add_parameter("inner.weight", {width_, in_}, moecollab::normal(0.05))),
        inner_bias_(add_parameter("inner.bias", {width_}, moecollab::constant(0))),
        out_(add_parameter("out.weight", {classes(), width_}, moecollab::normal(0.05))),
        out_bias_(add_parameter("out.bias", {classes()}, moecollab::constant(0))) {
    moecollab::config_allow(info.config(), {"width"});
  }

  Flops flops() const override { return {2 * width_ * (in_ + classes()), 0, 0}; }

  bool runs_on_any_device() const override { return true; }

  at::Tensor forward(const moecollab::TorchBatch& in) override {
    const at::Tensor inner = at::tanh(at::linear(in.pooled[0], inner_, inner_bias_));
    return at::linear(inner, out_, out_bias_);
  }

 private:
  int64_t width_, in_;
  const at::Tensor &inner_, &inner_bias_, &out_, &out_bias_;
};

}  // namespace

MOECOLLAB_LIBRARY(Mlp, "com.example.mlp", "1.0.0", moecollab::Input::pooled_mean);
