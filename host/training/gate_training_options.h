// What a fit of the gate is asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/compute.h"
#include "base/run_context.h"
#include "fusion/mode.h"
#include "gate/objective_options.h"

namespace moecollab::training {

enum class GateOptimizer { kAdamW, kLbfgs };
enum class GateKind { kLinear, kMlp, kFactored };

// "adamw", "lbfgs"; "linear", "mlp", "factored". The parsers throw E_CONFIG for another word;
// `what` names where it stood.
std::string_view name(GateOptimizer optimizer);
GateOptimizer parse_gate_optimizer(std::string_view text, std::string_view what = "optimizer");
std::string_view name(GateKind kind);
GateKind parse_gate_kind(std::string_view text, std::string_view what = "gate");

struct GateTrainingOptions {
  gate::ObjectiveOptions objective;
  fusion::Mode fusion = fusion::Mode::kMixture;
  int64_t top_k = 0;            // experts run for a text; 0: dense
  bool choose_top_k = false;    // the gate is fitted dense, and then the k that suffices is chosen
  std::vector<int64_t> layers;  // whose means the gate reads; empty: gate::default_features()
  std::optional<int64_t> gate_layer;  // the deepest of these, if `layers` is empty; none: the last
  int32_t epochs = 200;   // at most; the best on a fifth of the texts counts, then all are fitted
  int32_t patience = 10;  // epochs without a lower loss on that fifth before it stops
  double lr = 3e-3;       // of AdamW
  // AdamW: decoupled. L-BFGS: the term wd·‖W‖²/(2N), a Gaussian prior over N texts.
  double weight_decay = 0.05;
  int64_t batch = 256;  // texts of a step of AdamW; also what ḡ of eq 3 is a mean over
  uint64_t seed = 1;
  GateOptimizer optimizer = GateOptimizer::kAdamW;  // an epoch of L-BFGS is one iteration
  bool usual_optimizer = true;                      // nobody chose it
  GateKind gate = GateKind::kLinear;
  bool usual_gate = true;                // nobody chose it
  int64_t hidden = 64;                   // units of the mlp gate's hidden layer
  std::string prior_source = "uniform";  // of π in eq 3: uniform, data, or a file of shares
  std::vector<double> prior;             // π [E], made from it, summing to 1; empty: uniform
  bool cross_fitted = true;              // fitted on cross-fitted answers, too, where all have them
  bool guard = true;                     // under mixture: guard_space() for each space
  bool calibrate = false;                // fit the experts' temperatures first
  int64_t keep_replay = 0;               // texts of each domain whose rows are kept for `grow`
};

// The option that a gate in two factors has no place for, as in "fusion is masked"; empty if there
// is none.
std::string rules_out_factors(const GateTrainingOptions& options);

// Settles what nobody chose: a gate in two factors, unless other options rule it out (said); on a
// GPU L-BFGS (said), whose steps are over all texts at once, where the small batches of AdamW would
// be thousands of launches.
void settle_for(Device device, GateTrainingOptions& options, Log log);

// Throws E_CONFIG for a value outside its range.
void validate(const GateTrainingOptions& options);

}  // namespace moecollab::training
