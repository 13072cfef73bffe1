// What a fitted gate is judged by: gates that were not fitted on the texts that judge.
#pragma once

#include <ATen/ATen.h>

#include "base/run_context.h"
#include "training/gate_problem.h"
#include "training/gate_training_options.h"

namespace moecollab::training {

// Router logits [N, E] of the held-out texts, each by a gate that was not fitted on it: a fifth of
// the texts at a time, after `epochs` on the other four (the shares within a space of a gate in two
// factors are those of all). By the options' seed alone. Needs at least 5 texts: else E_DATA.
// Throws as GateFitting.
at::Tensor cross_fitted_router_logits(const GateProblem& problem,
                                      const GateTrainingOptions& options, int32_t epochs,
                                      const RunContext& context);

}  // namespace moecollab::training
