// Equation (3): the regularised objective of the gate.
#pragma once

#include <ATen/ATen.h>

namespace moecollab::gate {

struct ObjectiveOptions {
  double lambda1 = 0.0;  // weight of the entropy term, >= 0
  double lambda2 = 0.0;  // weight of the balance term, >= 0
};

// Throws E_CONFIG for a λ that is negative or not finite.
void validate(const ObjectiveOptions& options);

// Terms of one batch; each is a scalar that can be differentiated.
struct Objective {
  at::Tensor task;     // mean −log p, given by the caller
  at::Tensor entropy;  // mean_x H(g(x)), nats
  at::Tensor balance;  // KL(ḡ ‖ π), ḡ = batch mean of g
  at::Tensor total;    // task + λ1·entropy + λ2·balance
};

// mean over rows of −Σ_e g_e·ln g_e, from router logits [n, E].
at::Tensor mean_entropy(const at::Tensor& router_logits);

// Σ_e ḡ_e·ln(ḡ_e / π_e) for the batch mean ḡ of the dense softmax; prior [E] sums to 1.
at::Tensor balance_kl(const at::Tensor& router_logits, const at::Tensor& prior);

Objective objective(const at::Tensor& task_loss, const at::Tensor& router_logits,
                    const at::Tensor& prior, const ObjectiveOptions& options);

}  // namespace moecollab::gate
