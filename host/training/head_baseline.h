// The linear multi-task head of a registry: fitted on the training texts of all domains.
#pragma once

#include <vector>

#include "data/dataset.h"
#include "pipeline/pool.h"
#include "training/linear_head.h"

namespace moecollab::training {

struct HeadTrained {
  fs::path file;
  HeadFit fit;
  int64_t labels = 0;
  double seconds = 0;  // of the fit
};

// Fits it on what the registry's gate reads (by default, said, if none is fitted) and writes
// registry::head_baseline(). The pool has experts and an encoder. Throws as fit_head(), E_DATA for
// labels that the pool does not know, E_WRITE.
HeadTrained train_head(const std::vector<data::Dataset>& datasets, pipeline::Pool& pool,
                       const HeadTrainingOptions& options);

}  // namespace moecollab::training
