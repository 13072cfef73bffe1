// One gate being fitted on some of the held-out texts: an epoch of AdamW, or an iteration of
// L-BFGS, at a time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "gate/objective.h"
#include "training/adamw.h"
#include "training/gate_problem.h"
#include "training/gate_training_options.h"
#include "training/lbfgs.h"
#include "training/step_guard.h"

namespace moecollab::training {

// π as a float tensor [E].
at::Tensor prior_tensor(const GateTrainingOptions& options, int64_t experts);

// Means over the texts of an epoch, nats.
struct GateTerms {
  double task = 0, entropy = 0, balance = 0, total = 0;  // of the held-out texts
  double routing = 0;                     // of the texts outside the hold-out; 0 if there are none
  std::map<std::string, double> further;  // by option name, unweighted
};

// Loss: L = (1 − s)·L_task + s·L_routing + the further terms of the objective, s the share of the
// texts that are not held out. Borrows the problem. Not thread-safe, but fits that share a problem
// may run side by side.
class GateFitting {
 public:
  // `rows` of the held-out texts are fitted (at least one).
  GateFitting(const GateProblem& problem, const GateTrainingOptions& options,
              std::vector<int64_t> rows, StopToken stop);
  GateFitting(const GateFitting&) = delete;
  GateFitting& operator=(const GateFitting&) = delete;

  // One pass over the rows (AdamW; with each batch as many of the other texts, which therefore
  // take their turns over several epochs), or one iteration on everything (L-BFGS). A step whose
  // loss or gradient is not finite is skipped and counted; ten in a row, or an epoch of nothing
  // else, throw E_TRAIN_DIVERGED. Throws E_INTERRUPTED if a stop was asked for.
  GateTerms epoch();

  // Whether L-BFGS has found that no step lowers the loss any more.
  bool converged() const { return converged_; }
  // A copy that later epochs do not change, on the problem's device.
  gate::Gate gate() const;
  int64_t skipped_steps() const { return guard_.count(); }

 private:
  struct Batch {
    at::Tensor rows;  // [b] int64
    GateProblem::Inputs inputs;
    at::Tensor routing_rows;  // [r]; r may be 0
    GateProblem::Inputs routing_inputs;
  };
  Batch batch(const at::Tensor& rows, const at::Tensor& routing_rows) const;
  at::Tensor next_routing_rows(int64_t count);
  // The loss of a batch; its terms are added to `into`, weighted by `share`.
  at::Tensor loss(const Batch& batch, gate::BalanceWindow* window, double share, GateTerms& into);
  bool finite_step(const at::Tensor& loss);
  void count_bad_step();
  GateTerms adamw_epoch();
  GateTerms lbfgs_iteration();
  double evaluate(const std::vector<double>& x, std::vector<double>& gradient);
  std::vector<double> flat_parameters();

  const GateProblem& problem_;
  GateTrainingOptions options_;
  at::Tensor prior_;  // [E]
  std::vector<int64_t> rows_;
  StopToken stop_;
  double routing_share_ = 0;
  gate::Gate gate_;
  gate::BalanceWindow window_;
  std::optional<AdamW> adamw_;
  Batch everything_;  // L-BFGS
  std::unique_ptr<Lbfgs> lbfgs_;
  std::vector<double> last_x_;  // L-BFGS: of the last evaluation
  GateTerms last_terms_;        // there
  at::Tensor routing_order_;
  int64_t routing_next_ = 0, routing_pass_ = 0;
  int64_t epoch_ = 0;
  StepGuard guard_;
  bool converged_ = false;
};

}  // namespace moecollab::training
