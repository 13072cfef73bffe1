// Runs a collaboration, and the systems beside it, over one domain's texts.
#pragma once

#include <optional>
#include <vector>

#include "data/dataset.h"
#include "evaluation/figures.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"
#include "training/linear_head.h"

namespace moecollab::evaluation {

// Comparison models that were trained before and fit what is installed.
struct Baselines {
  std::optional<training::HeadFile> head;  // none: there is no linear multi-task head
  std::vector<int64_t> head_columns;       // global id of each of its columns
  // One deep model over the union, run like an expert; none: there is none.
  std::optional<pipeline::InstalledExpert> deep;
};

// Runs the collaboration and the systems beside it. The calls of experts are those that the
// collaboration made; an expert that top-k left out is still run for `expert_answer`, uncounted.
// Leaves `sha256`, `train_overlap` and `truncated` to the caller.
DomainFigures run_domain(pipeline::Collaboration& collaboration, const pipeline::GateFile& gate,
                         const data::Dataset& dataset, Baselines& baselines, uint64_t seed);

}  // namespace moecollab::evaluation
