// Runs a collaboration, and the systems beside it, over one domain's texts.
#pragma once

#include "data/dataset.h"
#include "evaluation/baselines.h"
#include "evaluation/figures.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"

namespace moecollab::evaluation {

// Runs the collaboration, in this arrangement, and the systems beside it. The calls of experts are
// those that the collaboration made; an expert that top-k left out is still run for
// `expert_answer`, uncounted. With
// `examples`, some texts that only the collaboration or only the best expert answers right are
// kept, the surest answers first. Leaves `sha256`, `train_overlap` and `truncated` to the caller.
DomainFigures run_domain(pipeline::Collaboration& collaboration, const pipeline::GateFile& gate,
                         const data::Dataset& dataset, Baselines& baselines,
                         Arrangement arrangement, uint64_t seed, bool examples = false);

}  // namespace moecollab::evaluation
