// The guard of a gate of one softmax over all experts, after its fit. That of a gate in two factors
// is a part of fit_space_shares().
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "base/run_context.h"
#include "gate/gate.h"
#include "training/gate_problem.h"
#include "training/share_guard.h"

namespace moecollab::training {

// The label spaces that a guard can judge: of two experts and kFewestToFold held-out texts at
// least, under `mixture`, whose answer in a space is a mean of what its experts say.
std::vector<int> guarded_spaces(const GateProblem& problem);

// guard_space() for each of these spaces, by `router` [N, E], the held-out texts' dense router
// logits by gates that were not fitted on them. A pull raises b of the best expert and lowers those
// of the whole space, such that the mean log-odds of the space against the others stay in `router`
// on its texts; by at most 4 nats, so that the space is still found if that expert is missing. A
// pull that loses texts over all labels is not taken. Changes `router` and the gate, whose tensors
// are in the host's memory, and notes each pull. Gives those taken; `names` [E] of the experts.
std::vector<ShareGuard> guard_gate(const GateProblem& problem, const std::vector<int>& spaces,
                                   const std::vector<std::string>& names, Log log,
                                   at::Tensor& router, gate::Gate& gate);

}  // namespace moecollab::training
