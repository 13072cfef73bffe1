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

// Parameters that a step treats alike: on a device one call serves all of them.
struct AdamW::Group {
  double lr, decay;
  at::Device device;
  std::vector<at::Tensor> values, grads, first, second;
};

std::vector<AdamW::Group> AdamW::groups() const {
  std::vector<Group> groups;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    // At most what a float holds: a rate beyond that gives weights that are not finite, not a
    // throw.
    const double lr = std::min<double>(options_.lr * p.lr_scale, std::numeric_limits<float>::max()),
                 decay = p.decay ? options_.weight_decay : 0;
    const at::Device device = p.value.device();
    auto group = std::ranges::find_if(groups, [&](const Group& g) {
      return !device.is_cpu() && g.device == device && g.lr == lr && g.decay == decay;
    });
    if (group == groups.end()) {
      groups.push_back({lr, decay, device, {}, {}, {}, {}});
      group = groups.end() - 1;
    }
    group->values.push_back(p.value);
    group->grads.push_back(p.grad);
    group->first.push_back(moments_[i].first);
    group->second.push_back(moments_[i].second);
  }
  return groups;
}

void AdamW::step() {
  const at::NoGradGuard no_grad;
  ++steps_;
  for (Group& g : groups()) {
    const at::Tensor steps = at::full({}, static_cast<double>(steps_), at::TensorOptions(g.device));
    // One pass over the memory; the same by single operations takes ten, and ten times as long.
    at::_fused_adamw_(g.values, g.grads, g.first, g.second, /*max_exp_avg_sqs=*/{},
                      std::vector<at::Tensor>(g.values.size(), steps), g.lr, options_.beta1,
                      options_.beta2, g.decay, options_.eps, /*amsgrad=*/false,
                      /*maximize=*/false);
    at::_foreach_zero_(g.grads);
  }
}

double AdamW::grad_norm() const {
  double squares = 0;
  for (const Group& g : groups()) {  // one copy from a device, not one per parameter
    for (const double norm : encoder::to_doubles(at::stack(at::_foreach_norm(g.grads, 2))))
      squares += std::pow(norm, 2);
  }
  return std::sqrt(squares);
}

void AdamW::clip(double norm, double largest) {
  if (!(norm > largest)) return;
  const at::NoGradGuard no_grad;
  for (Group& g : groups()) at::_foreach_mul_(g.grads, largest / norm);
}

void AdamW::zero_grad() {
  for (Parameter& p : parameters_) p.grad.zero_();
}

int64_t AdamW::size() const {
  int64_t size = 0;
  for (const Parameter& p : parameters_) size += p.grad.numel();
  return size;
}

at::Tensor AdamW::gradients() const {
  std::vector<at::Tensor> all;
  for (const Parameter& p : parameters_) all.push_back(p.grad.to(encoder::kHost).flatten());
  return at::cat(all);
}

void AdamW::set_gradients(const at::Tensor& all) {
  int64_t first = 0;
  for (Parameter& p : parameters_) {
    p.grad.copy_(all.narrow(0, first, p.grad.numel()).view_as(p.grad));
    first += p.grad.numel();
  }
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
