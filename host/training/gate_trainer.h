// Fitting the gate: equation (3) over frozen experts.
#pragma once

#include <optional>

#include "training/gate_fitting.h"
#include "training/gate_judge.h"

namespace moecollab::training {

// One epoch of the history.
struct GateEpoch {
  bool refit = false;  // of the last fit, on all texts
  int32_t epoch = 0;   // from 1, within its phase
  GateTerms terms;     // over the texts that were fitted
  // On the validation fifth. In the refit these texts are fitted too, so only the use of the
  // experts says something there. nullopt if there are too few texts for a fifth.
  std::optional<GateJudgement> judged;
  double seconds = 0;          // of this epoch, judging included
  int64_t texts = 0;           // held-out texts fitted
  int64_t skipped_steps = 0;   // so far in the phase
  int64_t peak_rss_bytes = 0;  // of the process so far
};

// Means over the last epoch (nats), for gate.toml and the report.
struct GateFit {
  gate::Gate gate;  // in the host's memory
  double task = 0, entropy = 0, balance = 0, total = 0;
  int64_t texts = 0;
  int32_t epochs = 0;                     // chosen; 0: what the fit sets out from is best
  std::optional<double> validation_task;  // L_task on the fifth that chose them, if any did
  int64_t skipped_steps = 0;              // not finite, of both phases
  std::vector<GateEpoch> history;
};

// A fit on four fifths of the held-out texts, at the epoch that is best on the others.
struct ChosenGate {
  gate::Gate gate;  // on the problem's device
  int32_t epochs = 0;
  GateJudgement judged;  // on the validation fifth
  int64_t skipped_steps = 0;
};

// The fifth of n texts that decides on epochs and λ, and the others; by the seed alone.
struct ValidationSplit {
  std::vector<int64_t> validation, rest;
};
ValidationSplit validation_split(int64_t n, uint64_t seed);
// That of the problem's texts. Throws E_DATA if they are too few for a fifth.
ValidationSplit required_split(const GateProblem& problem, const GateTrainingOptions& options);

// Fits on the four fifths until the objective on the validation fifth has not fallen for
// `patience` epochs, and gives the best gate seen; if the problem has space_rows(), what it sets
// out from is seen too, as epoch 0. Needs at least 5 texts.
ChosenGate choose_gate(const GateProblem& problem, const GateTrainingOptions& options,
                       StopToken stop);

// From the uniform gate, by L = L_task ± λ1·H + λ2·KL and the further terms that are on. L_task is
// the mean over all training texts of −log p(y|x) if the text is held out, and, under a
// task-agnostic fusion, of −log Σ g_e over the experts of the text's own label space if it is
// not. A fifth of the texts, chosen by the seed, decides on the number of epochs; the gate is then
// fitted on all of them. The problem must have the options' fusion and top_k. Throws
// E_TRAIN_DIVERGED if ten steps in a row are not finite.
GateFit fit_gate(const GateProblem& problem, const GateTrainingOptions& options,
                 const RunContext& context);

}  // namespace moecollab::training
