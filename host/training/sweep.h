// One fit of the gate for each pair of λ1 and λ2, side by side.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "training/gate_trainer.h"

namespace moecollab::training {

struct SweepPoint {
  double lambda1 = 0, lambda2 = 0;
  bool operator==(const SweepPoint&) const = default;
};

// What one point came to.
struct SweepResult {
  SweepPoint point;
  std::optional<GateJudgement> judged;  // on the validation fifth; nullopt: it diverged
  std::string failure;                  // why it diverged
  int32_t epochs = 0;                   // chosen on the validation fifth
  int64_t skipped_steps = 0;
  double seconds = 0;
};

// Whether points are fitted all at once there (fit_together()), and not each on a thread.
bool are_fitted_together(at::Device device, const GateTrainingOptions& options);

// Runs choose_gate() for every point, `threads` of them at a time, each on one thread, so the
// results depend on the thread count in nothing but their order. Points of L-BFGS on a device are
// fitted together instead (fit_together()), fewer at a time, with a warning, if it has no memory
// for all; these end together. `done` is called for each as it ends, one call at a time. The
// options' own λ are ignored. What a point throws but E_TRAIN_DIVERGED ends the sweep (the first is
// thrown again here, when the threads have ended), as does a stop that was asked for
// (E_INTERRUPTED).
void run_sweep(const GateProblem& problem, const GateTrainingOptions& options,
               std::span<const SweepPoint> points, int threads, const RunContext& context,
               const std::function<void(const SweepResult&)>& done);

}  // namespace moecollab::training
