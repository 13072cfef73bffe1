#include "training/adamw.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

namespace moecollab::training {

AdamW::AdamW(std::vector<Parameter> parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const Parameter& p : parameters_)
    moments_.push_back({at::zeros_like(p.value), at::zeros_like(p.value)});
}

void AdamW::step() {
  const at::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(options_.beta2, static_cast<double>(steps_));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    Moments& m = moments_[i];
    if (p.decay) p.value.mul_(1 - options_.lr * options_.weight_decay);
    m.first.mul_(options_.beta1).add_(p.grad, 1 - options_.beta1);
    m.second.mul_(options_.beta2).addcmul_(p.grad, p.grad, 1 - options_.beta2);
    const at::Tensor scale = (m.second / correction2).sqrt_().add_(options_.eps);
    p.value.addcdiv_(m.first, scale, -options_.lr / correction1);
    p.grad.zero_();
  }
}

}  // namespace moecollab::training
