// `eval` in another precision than the gate's: the same texts in the gate's own too.
#pragma once

#include "data/dataset.h"
#include "engine/answering_options.h"
#include "engine/loaded_gate.h"
#include "engine/session.h"
#include "evaluation/figures.h"

namespace moecollab::engine {

// Whether a precision other than fp32 is asked for by its name: its answers are then compared with
// those in the gate's own, unless it is the same.
bool is_trial(const EvalOptions& options);

// Answers the texts of `figures` in the gate's own precision, measures the encoder in both, writes
// the registry's record of the precision asked for and returns it as JSON, with its path as "file".
// Throws E_GATE for a gate that was not fitted in fp32, E_WRITE, and as opening a pool does.
Json try_precision(const EvalOptions& options, const LoadedGate& gate,
                   const std::vector<data::Dataset>& datasets, const evaluation::Figures& figures,
                   const RunContext& context);

}  // namespace moecollab::engine
