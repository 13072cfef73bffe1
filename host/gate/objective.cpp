#include "gate/objective.h"

#include <cmath>

namespace moecollab::gate {
namespace {

bool has_weight(double lambda) { return lambda > 0; }
bool has_weight(const at::Tensor& /*lambdas*/) { return true; }

// λ1 and λ2: numbers, or tensors of a number per gate. What has no weight has no gradient either.
template <typename Lambda>
at::Tensor weighted_sum(const Objective& terms, const Lambda& lambda1, const Lambda& lambda2,
                        const ObjectiveOptions& options) {
  const double sign = options.entropy_sign == EntropySign::kLiteral ? 1 : -1;
  const at::Tensor balance =
      options.free_bits > 0 ? terms.balance.clamp_min(options.free_bits) : terms.balance;
  at::Tensor sum = terms.task;
  if (has_weight(lambda1)) sum = sum + sign * lambda1 * terms.entropy;
  if (has_weight(lambda2)) sum = sum + lambda2 * balance;
  for (const FurtherTerm& term : terms.further) sum = sum + term.weight * term.value;
  return sum;
}

}  // namespace

at::Tensor BalanceWindow::mean(const at::Tensor& batch_mean) {
  if (batches_ <= 1 || !batch_mean.isfinite().all().item<bool>()) return batch_mean;
  const double decay = 1 - 1 / static_cast<double>(batches_);
  const at::Tensor batch = batch_mean.detach();
  sum_ = sum_.defined() ? sum_ * decay + batch : batch;
  weight_ = weight_ * decay + 1;
  return batch_mean + (sum_ / weight_ - batch);
}

at::Tensor mean_entropy(const at::Tensor& router_logits) {
  const at::Tensor log_g = at::log_softmax(router_logits, -1);
  return -(log_g.exp() * log_g).sum(-1).mean(-1);
}

at::Tensor kl_to_prior(const at::Tensor& mean, const at::Tensor& prior) {
  return at::xlogy(mean, mean / prior).sum(-1);
}

at::Tensor balance_kl(const at::Tensor& router_logits, const at::Tensor& prior) {
  return kl_to_prior(at::softmax(router_logits, -1).mean(-2), prior);
}

at::Tensor switch_load(const at::Tensor& router_logits) {
  const int64_t experts = router_logits.size(-1);
  // As routing does: a stable sort, so that ties go to the lower index on every platform.
  const at::Tensor first =
      std::get<1>(router_logits.detach().sort(/*stable=*/true, -1, /*descending=*/true))
          .narrow(-1, 0, 1);
  const at::Tensor share = at::zeros_like(router_logits.detach()).scatter_(-1, first, 1.0).mean(-2);
  return (share * at::softmax(router_logits, -1).mean(-2)).sum(-1) * static_cast<double>(experts);
}

at::Tensor importance_cv2(const at::Tensor& router_logits) {
  const at::Tensor mean = at::softmax(router_logits, -1).mean(-2);
  return mean.square().sum(-1) * static_cast<double>(router_logits.size(-1)) - 1;
}

at::Tensor z_loss(const at::Tensor& router_logits) {
  return router_logits.logsumexp(-1).square().mean(-1);
}

Objective objective(const at::Tensor& task_loss, const at::Tensor& router_logits,
                    const at::Tensor& prior, const ObjectiveOptions& options,
                    BalanceWindow* window) {
  const at::Tensor batch_mean = at::softmax(router_logits, -1).mean(-2);
  Objective terms;
  terms.task = task_loss;
  terms.entropy = mean_entropy(router_logits);
  terms.balance = kl_to_prior(window == nullptr ? batch_mean : window->mean(batch_mean), prior);
  const auto add = [&](const char* name, double weight, at::Tensor (*term)(const at::Tensor&)) {
    if (weight > 0) terms.further.push_back({name, weight, term(router_logits)});
  };
  add("switch", options.switch_load, &switch_load);
  add("importance-cv2", options.importance_cv2, &importance_cv2);
  add("z-loss", options.z_loss, &z_loss);
  terms.total = weighted_sum(terms, options.lambda1, options.lambda2, options);
  return terms;
}

at::Tensor total(const Objective& terms, const at::Tensor& lambda1, const at::Tensor& lambda2,
                 const ObjectiveOptions& options) {
  return weighted_sum(terms, lambda1, lambda2, options);
}

}  // namespace moecollab::gate
