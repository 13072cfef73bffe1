#include <fmt/format.h>

#include "base/console.h"
#include "base/error.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/evaluate.h"
#include "pipeline/collaboration.h"

namespace moecollab::engine {
namespace {

// The comparison models of the registry that fit what is installed; why not, for the others.
void load_baselines(const fs::path& registry, const pipeline::Pool& pool,
                    evaluation::EvaluationContext& context) {
  const fs::path file = training::head_path(registry);
  if (!fs::exists(file)) {
    context.notes.push_back("multi_task_head is null: there is no registry/baselines/head.toml");
    return;
  }
  try {
    training::HeadFile head = training::read_head(registry);
    context.baselines.head_columns =
        training::head_columns(head, pool.encoder()->fingerprint(), pool.labels());
    context.baselines.head = std::move(head);
  } catch (const Error& error) {
    const std::string note = fmt::format("multi_task_head is null: {}", error.what());
    print_warning(fmt::format("{}; {}", note, error.hint()));
    context.notes.push_back(note);
  }
}

}  // namespace

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
  load_baselines(options.registry, pool, context);
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
