// One hidden layer on the encoder's mean features. Nothing here trains it: the host does, through
// the graph that forward() leaves.
#include <moecollab/config.hpp>
#include <moecollab/torch_expert.hpp>

using namespace moecollab;

class @CLASS@ final : public TorchExpert {
 public:
  explicit @CLASS@(const CreateInfo& info)
      : TorchExpert(info),
        width_(config_integer(info.config(), "width", 128, 1, 65536)),
        inner_(add_parameter("inner.weight", {width_, info.encoder()->hidden}, normal(0.05))),
        inner_bias_(add_parameter("inner.bias", {width_}, constant(0))),
        out_(add_parameter("out.weight", {classes(), width_}, normal(0.05))),
        out_bias_(add_parameter("out.bias", {classes()}, constant(0))) {
    config_allow(info.config(), {"width"});
  }

  // A row's result may depend on its own text alone.
  at::Tensor forward(const TorchBatch& in) override {
    return at::linear(at::tanh(at::linear(in.pooled[0], inner_, inner_bias_)), out_, out_bias_);
  }

 private:
  int64_t width_;
  const at::Tensor &inner_, &inner_bias_, &out_, &out_bias_;
};

MOECOLLAB_LIBRARY(@CLASS@, "@ID@", "1.0.0", Input::pooled_mean);
