// Equation (3): the regularised objective of the gate, and the further terms of design page 4.
//
// Every term is a function of the router logits [n, E] of a batch and uses their dense softmax g,
// also where top-k routes; each is a scalar that can be differentiated. Entropies are in nats.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab::gate {

// Whether λ1·H is added as the paper prints it (sharp gates are rewarded), or subtracted as its
// prose has it (spreading is rewarded).
enum class EntropySign { kLiteral, kExplore };

// "literal", "explore".
std::string_view name(EntropySign sign);
// Throws E_CONFIG for another word.
EntropySign parse_entropy_sign(std::string_view text);

// A weight above this is a mistake of units: the objective would be nothing but that term.
inline constexpr double kMaxTermWeight = 1e6;

struct ObjectiveOptions {
  double lambda1 = 0.0;  // weight of the entropy term, 0 to kMaxTermWeight
  double lambda2 = 0.0;  // weight of the balance term, likewise
  EntropySign entropy_sign = EntropySign::kLiteral;
  int64_t balance_window = 0;   // batches that ḡ of the balance term looks back on; 0: this one
  double free_bits = 0.0;       // nats of KL(ḡ ‖ π) that cost nothing, >= 0
  double switch_load = 0.0;     // weight of switch_load(), called α there
  double importance_cv2 = 0.0;  // weight of importance_cv2()
  double z_loss = 0.0;          // weight of z_loss()
};

// Throws E_CONFIG for a weight that is negative, not finite or above kMaxTermWeight, for negative
// free bits, and for a window outside 0 to 1e6 batches.
void validate(const ObjectiveOptions& options);

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
// equal ones), P_e the batch mean of g_e: 1 where balanced, up to E (Fedus et al. 2021, eq 4).
at::Tensor switch_load(const at::Tensor& router_logits);

// Squared coefficient of variation of the experts' importance Σ_x g_e(x): E·Σ_e ḡ_e² − 1, from 0 to
// E − 1 (Shazeer et al. 2017, eq 7).
at::Tensor importance_cv2(const at::Tensor& router_logits);

// mean over rows of logsumexp(router logits)², which keeps the logits small (Zoph et al. 2022, eq
// 5).
at::Tensor z_loss(const at::Tensor& router_logits);

// All terms that are on. Free bits (Kingma et al. 2016): below them the balance term is flat.
// `window`, if given, replaces the batch mean in the balance term.
Objective objective(const at::Tensor& task_loss, const at::Tensor& router_logits,
                    const at::Tensor& prior, const ObjectiveOptions& options,
                    BalanceWindow* window = nullptr);

}  // namespace moecollab::gate
