// Points of a sweep that are fitted together on a device.
#pragma once

#include <span>
#include <vector>

#include "training/sweep.h"

namespace moecollab::training {

// What choose_gate() does for each of the points, by L-BFGS alone: one pass over the texts serves
// all of them, since a small gate leaves a device idle between launches. A point's figures depend
// in their last digits on which others are fitted with it. Throws E_INTERRUPTED if a stop was asked
// for, and c10::Error if the device has no memory for so many.
std::vector<SweepResult> fit_together(const GateProblem& problem,
                                      const GateTrainingOptions& options,
                                      std::span<const SweepPoint> points, StopToken stop);

}  // namespace moecollab::training
