// One gate being fitted on some of the held-out texts: an epoch of AdamW, or an iteration of
// L-BFGS, at a time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/run_context.h"
#include "gate/objective.h"
#include "training/adamw.h"
#include "training/gate_problem.h"
#include "training/lbfgs.h"
#include "training/step_guard.h"

namespace moecollab::training {

enum class GateOptimizer { kAdamW, kLbfgs };
enum class GateKind { kLinear, kMlp };

// "adamw", "lbfgs"; "linear", "mlp". The parsers throw E_CONFIG for another word.
std::string_view name(GateOptimizer optimizer);
GateOptimizer parse_gate_optimizer(std::string_view text);
std::string_view name(GateKind kind);
GateKind parse_gate_kind(std::string_view text);

struct GateTrainingOptions {
  gate::ObjectiveOptions objective;
  fusion::Mode fusion = fusion::Mode::kMixture;
  int64_t top_k = 0;      // 0: dense
  int32_t epochs = 200;   // at most; the best on a fifth of the texts counts, then all are fitted
  int32_t patience = 10;  // epochs without a lower loss on that fifth before it stops
  double lr = 3e-3;       // of AdamW
  // AdamW: decoupled. L-BFGS: the term wd·‖W‖²/(2N), a Gaussian prior over N texts.
  double weight_decay = 0.05;
  int64_t batch = 256;  // texts of a step of AdamW; also what ḡ of eq 3 is a mean over
  uint64_t seed = 1;
  GateOptimizer optimizer = GateOptimizer::kAdamW;  // an epoch of L-BFGS is one iteration
  GateKind gate = GateKind::kLinear;
  int64_t hidden = 64;        // units of the mlp gate's hidden layer
  std::vector<double> prior;  // π of eq 3 [E], summing to 1; empty: uniform
};

// Throws E_CONFIG for a value outside its range.
void validate(const GateTrainingOptions& options);

// π as a float tensor [E].
at::Tensor prior_tensor(const GateTrainingOptions& options, int64_t experts);

// Means over the texts of an epoch, nats.
struct GateTerms {
  double task = 0, entropy = 0, balance = 0, total = 0;  // of the held-out texts
  double routing = 0;  // of the texts outside the hold-out; 0 where there are none
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
  // A copy that later epochs do not change.
  gate::Gate gate() const;
  int64_t skipped_steps() const { return guard_.count(); }

 private:
  struct Batch {
    at::Tensor rows, z;                  // [b] int64, [b, D]
    at::Tensor routing_rows, routing_z;  // [r], [r, D]; r may be 0
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
  GateTerms last_terms_;  // L-BFGS: of the last evaluation
  at::Tensor routing_order_;
  int64_t routing_next_ = 0, routing_pass_ = 0;
  int64_t epoch_ = 0;
  StepGuard guard_;
  bool converged_ = false;
};

}  // namespace moecollab::training
