// Comparison models that were trained before and fit what is installed.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/run_context.h"
#include "pipeline/pool.h"
#include "training/linear_head.h"

namespace moecollab::evaluation {

struct Baselines {
  std::optional<training::HeadFile> head;  // none: there is no linear multi-task head
  std::vector<int64_t> head_columns;       // global id of each of its columns
  // One deep model over the union, run like an expert; none: there is none.
  std::optional<pipeline::InstalledExpert> deep;
};

// Where the deep model lies, and how it is opened for a pool.
struct DeepBaseline {
  fs::path folder;
  std::function<pipeline::InstalledExpert(const pipeline::Pool&)> open;
};

// Loads those that the pool's registry has. `notes` says why one is left out: there is none, or it
// does not fit (a warning, not an error).
Baselines load_baselines(const pipeline::Pool& pool, const DeepBaseline& deep,
                         CollectingLog& notes);

}  // namespace moecollab::evaluation
