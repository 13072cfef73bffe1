#include "training/top_k_choice.h"

#include <ATen/core/grad_mode.h>

#include "training/gate_judge.h"

namespace moecollab::training {

TopKChoice choose_top_k(const GateProblem& problem, const at::Tensor& router_logits,
                        const at::Tensor& caps) {
  const at::NoGradGuard no_grad;
  const at::Tensor rows = at::arange(problem.texts(), problem.targets().options());
  const int64_t experts = router_logits.size(1);
  TopKChoice choice{experts, problem.texts(), {}};
  std::vector<int64_t> right;
  for (int64_t k = 1; k <= experts; ++k) {
    at::Tensor weights = gate::routing_weights(router_logits, k);
    if (caps.defined()) weights = gate::capped(weights, caps.to(weights.device()));
    right.push_back(right_answers(problem, weights, rows).sum().item<int64_t>());
    choice.accuracy.push_back(static_cast<double>(right.back()) /
                              static_cast<double>(choice.texts));
  }
  // In counts, which are exact: a loss of just the tolerance is within it.
  const double may_lose = kTopKTolerance * static_cast<double>(choice.texts) * (1 + 1e-12);
  for (int64_t k = experts; k >= 1; --k) {
    if (static_cast<double>(right.back() - right[static_cast<size_t>(k - 1)]) <= may_lose)
      choice.top_k = k;
  }
  return choice;
}

}  // namespace moecollab::training
