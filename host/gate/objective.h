// Equation (3): the regularised objective of the gate, and its further terms (docs/mathematics.md).
//
// Every term is a function of the router logits [n, E] of a batch and uses their dense softmax g,
// also if top-k routes; each is a scalar that can be differentiated. Entropies are in nats. Router
// logits of P gates side by side [P, n, E] give P numbers per term.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "gate/objective_options.h"

namespace moecollab::gate {

// ḡ as an exponential window over batches: ḡ_t ∝ Σ_i (1 − 1/N)^(t − i)·mean_i. Small batches rarely
// hold every domain; held against the prior one by one, they would force each domain to spread.
// Not thread-safe.
class BalanceWindow {
 public:
  explicit BalanceWindow(int64_t batches) : batches_(batches) {}

  // Takes in the batch mean [E] of g. The result has the window's value and the batch mean's
  // gradient at full weight, so λ2 means the same whatever the window: it is the batch's estimate
  // of how the whole ḡ moves. A mean that is not finite is handed back and not remembered.
  at::Tensor mean(const at::Tensor& batch_mean);

 private:
  int64_t batches_;
  at::Tensor sum_;  // [E], Σ decay^(t − i)·mean_i
  double weight_ = 0;
};

// A term that is on besides eq 3, by its option's name.
struct FurtherTerm {
  std::string name;
  double weight;
  at::Tensor value;  // unweighted
};

// Terms of one batch.
struct Objective {
  at::Tensor task;                   // mean −log p, given by the caller
  at::Tensor entropy;                // mean_x H(g(x))
  at::Tensor balance;                // KL(ḡ ‖ π), free bits included
  std::vector<FurtherTerm> further;  // those of weight > 0
  at::Tensor total;  // task ± λ1·entropy + λ2·max(balance, free bits) + Σ weight·value
};

// mean over rows of −Σ_e g_e·ln g_e.
at::Tensor mean_entropy(const at::Tensor& router_logits);

// Σ_e ḡ_e·ln(ḡ_e / π_e) for ḡ [E]; prior [E] sums to 1.
at::Tensor kl_to_prior(const at::Tensor& mean, const at::Tensor& prior);
// The same for the batch mean of the dense softmax.
at::Tensor balance_kl(const at::Tensor& router_logits, const at::Tensor& prior);

// E·Σ_e f_e·P_e, f_e the share of rows whose greatest g is e's (a constant; the lower index of
// equal ones), P_e the batch mean of g_e: 1 if balanced, up to E (Fedus et al. 2021, eq 4).
at::Tensor switch_load(const at::Tensor& router_logits);

// Squared coefficient of variation of the experts' importance Σ_x g_e(x): E·Σ_e ḡ_e² − 1, from 0 to
// E − 1 (Shazeer et al. 2017, eq 7).
at::Tensor importance_cv2(const at::Tensor& router_logits);

// mean over rows of logsumexp(router logits)², which keeps the logits small (Zoph et al. 2022, eq
// 5).
at::Tensor z_loss(const at::Tensor& router_logits);

// What the terms of P gates come to [P], if each gate has its own λ1 and λ2 [P].
at::Tensor total(const Objective& terms, const at::Tensor& lambda1, const at::Tensor& lambda2,
                 const ObjectiveOptions& options);

// All terms that are on. Free bits (Kingma et al. 2016): below them the balance term is flat.
// `window`, if given, replaces the batch mean in the balance term; for one gate only.
Objective objective(const at::Tensor& task_loss, const at::Tensor& router_logits,
                    const at::Tensor& prior, const ObjectiveOptions& options,
                    BalanceWindow* window = nullptr);

}  // namespace moecollab::gate
