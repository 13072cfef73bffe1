#include "training/adamw.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "encoder/features.h"

namespace moecollab::training {

AdamW::AdamW(std::vector<Parameter> parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const Parameter& p : parameters_)
    moments_.push_back({at::zeros_like(p.value), at::zeros_like(p.value)});
}

void AdamW::step() {
  const at::NoGradGuard no_grad;
  ++steps_;
  if (parameters_.empty()) return;
  const at::Tensor steps =
      at::full({}, static_cast<double>(steps_), parameters_.front().value.options());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    Moments& m = moments_[i];
    // At most what a float holds: a rate beyond that gives weights that are not finite, not a
    // throw.
    const double lr = std::min<double>(options_.lr * p.lr_scale, std::numeric_limits<float>::max());
    // One pass over the memory; the same by single operations takes ten, and ten times as long.
    at::_fused_adamw_({p.value}, {p.grad}, {m.first}, {m.second}, /*max_exp_avg_sqs=*/{}, {steps},
                      lr, options_.beta1, options_.beta2, p.decay ? options_.weight_decay : 0,
                      options_.eps, /*amsgrad=*/false, /*maximize=*/false);
    p.grad.zero_();
  }
}

double AdamW::grad_norm() const {
  if (parameters_.empty()) return 0;
  std::vector<at::Tensor> norms;
  for (const Parameter& p : parameters_) norms.push_back(p.grad.norm());
  double squares = 0;  // one copy from a device, not one per parameter
  for (const double norm : encoder::to_doubles(at::stack(norms))) squares += std::pow(norm, 2);
  return std::sqrt(squares);
}

void AdamW::clip(double norm, double largest) {
  if (!(norm > largest)) return;
  const at::NoGradGuard no_grad;
  for (Parameter& p : parameters_) p.grad.mul_(largest / norm);
}

void AdamW::zero_grad() {
  for (Parameter& p : parameters_) p.grad.zero_();
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (size_t i = 0; i < moments_.size(); ++i) {
    tensors.emplace_back("first/" + std::to_string(i), moments_[i].first);
    tensors.emplace_back("second/" + std::to_string(i), moments_[i].second);
  }
  return tensors;
}

}  // namespace moecollab::training
