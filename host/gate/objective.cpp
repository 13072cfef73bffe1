#include "gate/objective.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace moecollab::gate {

void validate(const ObjectiveOptions& options) {
  const auto check = [](const char* name, double value) {
    if (!std::isfinite(value) || value < 0) {
      throw Error("E_CONFIG", fmt::format("--{} is {}, expected a number >= 0", name, value));
    }
  };
  check("lambda1", options.lambda1);
  check("lambda2", options.lambda2);
}

at::Tensor mean_entropy(const at::Tensor& router_logits) {
  const at::Tensor log_g = at::log_softmax(router_logits, -1);
  return -(log_g.exp() * log_g).sum(-1).mean();
}

at::Tensor balance_kl(const at::Tensor& router_logits, const at::Tensor& prior) {
  const at::Tensor mean = at::softmax(router_logits, -1).mean(0);
  return at::xlogy(mean, mean / prior).sum();
}

Objective objective(const at::Tensor& task_loss, const at::Tensor& router_logits,
                    const at::Tensor& prior, const ObjectiveOptions& options) {
  Objective terms;
  terms.task = task_loss;
  terms.entropy = mean_entropy(router_logits);
  terms.balance = balance_kl(router_logits, prior);
  terms.total = terms.task + options.lambda1 * terms.entropy + options.lambda2 * terms.balance;
  return terms;
}

}  // namespace moecollab::gate
