#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/evaluate.h"
#include "pipeline/collaboration.h"

namespace moecollab::engine {

Json run_eval(const EvalOptions& options) {
  prepare(options);
  if (options.fusion) fusion::parse_mode(*options.fusion);
  if (options.top_k) check_top_k(options.registry, *options.top_k);
  const std::vector<data::Dataset> datasets = read_datasets(options.data, "test-else-dev");
  pipeline::Pool pool(pool_options(options));
  pool.require_experts();
  LoadedGate gate = load_gate(options.registry, options.fusion, options.top_k);
  const std::vector<pipeline::InstalledExpert*> experts = pipeline::match_experts(gate.file, pool);
  pipeline::Collaboration collaboration(pool, experts, gate.file.gate, gate.fusion, gate.top_k);

  evaluation::EvaluationContext context;
  context.command = options.command;
  context.seed = options.seed;
  if (!options.data.dir.empty()) {
    for (const data::Dataset& dataset : datasets) {
      const fs::path file = options.data.dir / dataset.domain / "train.jsonl";
      if (fs::exists(file)) context.training_files[dataset.domain] = file.string();
    }
  }
  Json report = evaluation::evaluate(collaboration, gate.file, datasets, context);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  return report;
}

}  // namespace moecollab::engine
