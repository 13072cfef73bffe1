#include "products.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

namespace moecollab::deep_adapter {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// a·bᵀ + bias for a [m, k], b [n, k], either of which may be a view with other strides. No header
// declares the operator. It records no gradient, so it must not meet a tensor that wants one.
at::Tensor onednn_product(const at::Tensor& a, const at::Tensor& b,
                          const std::optional<at::Tensor>& bias) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                            std::string_view, c10::List<std::optional<at::Scalar>>,
                            std::optional<std::string_view>)>();
  static const c10::List<std::optional<at::Scalar>> kNoScalars;
  return op.call(a, b, bias, "none", kNoScalars, "");
}

bool by_onednn(const at::Tensor& a) {
  const at::Context& context = at::globalContext();
  return a.is_cpu() && a.scalar_type() == at::kFloat && context.userEnabledMkldnn() &&
         at::Context::hasMKLDNN();
}

// a·bᵀ.
at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  return by_onednn(a) ? onednn_product(a, b, std::nullopt) : at::mm(a, b.t());
}

at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return by_onednn(x) ? onednn_product(x, weight, bias) : at::linear(x, weight, bias);
}

struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, at::ScalarType type) {
    const at::Tensor factor = x.to(type), matrix = weight.to(type);
    context->save_for_backward({factor, matrix});
    context->saved_data["x"] = x.scalar_type();
    return affine(factor, matrix, bias.to(type));
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& grads) {
    const at::NoGradGuard no_grad;
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor gy = grads[0].contiguous();
    tensor_list found(4);
    if (context->needs_input_grad(0))
      found[0] = product(gy, saved[1].t()).to(context->saved_data["x"].toScalarType());
    if (context->needs_input_grad(1)) found[1] = product(gy.t(), saved[0].t()).to(at::kFloat);
    if (context->needs_input_grad(2)) found[2] = gy.sum(0).to(at::kFloat);
    return found;
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  at::ScalarType type) {
  if (!at::GradMode::is_enabled()) return affine(x.to(type), weight.to(type), bias.to(type));
  return Linear::apply(x, weight, bias, type);
}

}  // namespace moecollab::deep_adapter
