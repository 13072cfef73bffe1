#include "training/share_loss.h"

#include <ATen/core/grad_mode.h>

namespace moecollab::training {
namespace {

// Σ_e w_e·said_e [F, C, n] of w [F, k, n], said [k, C, n]: a loop over the experts, since
// [F, k, C, n] would not fit where the rest does.
at::Tensor mix(const at::Tensor& w, const at::Tensor& said) {
  at::Tensor sum = w.narrow(1, 0, 1) * said[0];
  for (int64_t e = 1; e < said.size(0); ++e) sum.addcmul_(w.narrow(1, e, 1), said[e]);
  return sum;
}

}  // namespace

ShareLoss::ShareLoss(const Opinions& opinions, fusion::OpinionPool pool)
    : opinions_(opinions), pool_(pool), log_p_(opinions.log_p.permute({1, 2, 0}).contiguous()) {
  if (pool == fusion::OpinionPool::kLogarithmic) return;
  own_ = log_p_.gather(1, opinions.label.expand({experts(), 1, -1})).squeeze(1);
}

at::Tensor ShareLoss::scores(const at::Tensor& weight, const at::Tensor& bias) const {
  const at::Tensor same = bias.unsqueeze(2).expand({-1, -1, opinions_.z.size(0)});
  if (!weight.defined()) return same.contiguous();
  // One product for all fits, which reads the texts once.
  return same + weight.flatten(0, 1).matmul(opinions_.z.t()).view(same.sizes());
}

at::Tensor ShareLoss::pooled(const at::Tensor& scores) const {
  const at::Tensor w = at::softmax(scores, 1);
  return pool_ == fusion::OpinionPool::kLogarithmic ? mix(w, log_p_) : mix(w, log_p_.exp()).log_();
}

std::pair<at::Tensor, at::Tensor> ShareLoss::with_slope(const at::Tensor& scores) const {
  const at::NoGradGuard no_grad;
  if (pool_ != fusion::OpinionPool::kLogarithmic) {
    const at::Tensor log_w = at::log_softmax(scores, 1);
    const at::Tensor said = log_w + own_;  // ln w_e·p_e(label)
    const at::Tensor log_p = said.logsumexp(1, /*keepdim=*/true);
    return {-log_p.squeeze(1), log_w.exp_() - (said - log_p).exp_()};
  }
  const at::Tensor w = at::softmax(scores, 1);
  at::Tensor log_p = at::log_softmax(mix(w, log_p_), 1);  // [F, C, n]
  const at::Tensor label = opinions_.label.expand({scores.size(0), 1, -1});
  const at::Tensor lost = -log_p.gather(1, label).squeeze(1);
  const at::Tensor excess =  // p − 1 for the label, p for the others: the slope by ln of the pool
      log_p.exp_().scatter_add_(1, label, at::full(label.sizes(), -1, scores.options()));
  const at::Tensor by_w = at::empty(scores.sizes(), scores.options());
  for (int64_t e = 0; e < experts(); ++e) by_w.select(1, e).copy_((excess * log_p_[e]).sum(1));
  return {lost, w * (by_w - (w * by_w).sum(1, /*keepdim=*/true))};
}

ShareObjective::ShareObjective(const Opinions& opinions, fusion::OpinionPool pool, double penalty,
                               const at::Tensor& takes)
    : opinions_(opinions),
      loss_(opinions, pool),
      penalty_(penalty),
      experts_(opinions.log_p.size(1)),
      inputs_(opinions.z.size(1)),
      texts_(takes.sum(1, /*keepdim=*/true)),
      part_(takes / texts_) {}

std::pair<at::Tensor, at::Tensor> ShareObjective::weight_and_bias(const at::Tensor& x) const {
  const at::Tensor bias = x.narrow(1, 0, experts_);
  if (penalty_ == 0) return {{}, bias};
  return {x.narrow(1, experts_, experts_ * inputs_).unflatten(1, {experts_, inputs_}), bias};
}

BatchedLbfgs::Evaluation ShareObjective::evaluate(const at::Tensor& x,
                                                  const at::Tensor& which) const {
  const at::NoGradGuard no_grad;
  const at::Tensor numbers = x.to(at::kFloat), part = part_.index_select(0, which);
  const auto [weight, bias] = weight_and_bias(numbers);
  const auto [lost, slope] = loss_.with_slope(loss_.scores(weight, bias));
  const at::Tensor by_score = slope * part.unsqueeze(1);  // [R, k, n]
  at::Tensor gradient = by_score.sum(2);
  // What the penalties' slope by x is a multiple of x by.
  at::Tensor pull = texts_.index_select(0, which).reciprocal().expand(numbers.sizes());
  if (penalty_ != 0) {
    const at::Tensor by_weight = by_score.flatten(0, 1).matmul(opinions_.z);
    gradient = at::cat({gradient, by_weight.view({x.size(0), -1})}, 1);
    pull = pull.clone();
    pull.narrow(1, experts_, experts_ * inputs_).mul_(penalty_);
  }
  const at::Tensor pulled = numbers * pull;
  return {((lost * part).sum(1) + (numbers * pulled).sum(1) / 2).to(at::kDouble),
          (gradient + pulled).to(at::kDouble)};
}

}  // namespace moecollab::training
