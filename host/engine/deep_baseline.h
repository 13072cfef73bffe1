// The deep multi-task model: the deep expert's recipe once, on all domains, over the union of their
// labels. What a collaboration is compared with (`multi_task_deep` of the report).
#pragma once

#include "base/run_context.h"
#include "data/dataset.h"
#include "engine/options.h"
#include "pipeline/pool.h"

namespace moecollab::engine {

// registry/baselines/deep: a package whose labels are "<label space>:<label>".
fs::path deep_baseline_folder(const fs::path& registry);

// Trains it for the recipe's epochs on every text (none is held out) and writes its package.
Json train_deep_baseline(const TrainBaselineOptions& options, const RunContext& context);

// The model, its columns those of the pool's union. Throws E_CKPT_BASELINE naming what disagrees:
// another encoder, or labels that are not exactly those of the union; and what instantiate() does.
pipeline::InstalledExpert open_deep_baseline(const pipeline::Pool& pool);

}  // namespace moecollab::engine
