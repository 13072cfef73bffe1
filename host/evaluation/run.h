// The raw outcome of an evaluation: what every system said of every text.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
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

// One domain's texts, all vectors [n].
struct DomainRun {
  const data::Dataset* dataset = nullptr;
  int space = 0;
  std::vector<int> truth;
  std::vector<int> answer;         // over the union; empty where the fusion has no such answer
  std::vector<int> answer_aware;   // over the domain's own space
  std::vector<double> confidence;  // of `answer`
  std::vector<double> gate;        // [n, E]
  std::string best_expert;         // of the domain, by accuracy on held-out training texts
  std::vector<int> expert_answer;  // that expert alone
  std::vector<int> baseline;       // untrained head on the gate's features
  std::vector<int> majority;       // the label most frequent in these texts
  // Every expert the same share, through the same fusion, over the union. Empty where an expert's
  // answers are missing (top-k) or the fusion has no such answer.
  std::vector<int> uniform_gate;
  // Over the union; empty where there is no such model.
  std::vector<int> multi_task_head, multi_task_deep;
};

// Runs the collaboration and the systems beside it. The calls of experts are those that the
// collaboration made; an expert that top-k left out is still run for `expert_answer`, uncounted.
DomainRun run_domain(pipeline::Collaboration& collaboration, const pipeline::GateFile& gate,
                     const data::Dataset& dataset, Baselines& baselines, uint64_t seed);

}  // namespace moecollab::evaluation
