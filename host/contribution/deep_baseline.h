// The deep multi-task model: the deep expert's recipe once, on all domains, over the union of their
// labels. What a collaboration is compared with (`multi_task_deep` of the report).
#pragma once

#include <vector>

#include "contribution/expert_training.h"
#include "data/dataset.h"
#include "pipeline/pool.h"

namespace moecollab::contribution {

struct DeepBaselineTrained {
  fs::path folder;
  int64_t texts = 0, labels = 0;
  int32_t epochs = 0;
  double seconds = 0;  // of all epochs
};

// What is asked for under the kind and name of the baseline; the domain counts for nothing. Throws
// as plan_expert().
ExpertPlan plan_deep_baseline(ExpertOptions asked);

// Trains it for the recipe's epochs on every text (none is held out) and writes its package. The
// pool has experts and an encoder.
DeepBaselineTrained train_deep_baseline(const ExpertPlan& plan,
                                        const std::vector<data::Dataset>& datasets,
                                        pipeline::Pool& pool);

// The model, its columns those of the pool's union. Throws E_CKPT_BASELINE naming what disagrees:
// another encoder, or labels that are not exactly those of the union; and what instantiate() does.
pipeline::InstalledExpert open_deep_baseline(const pipeline::Pool& pool);

}  // namespace moecollab::contribution
