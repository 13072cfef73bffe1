#include "contribution/deep_baseline.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/evaluate.h"
#include "evaluation/histories.h"
#include "pipeline/collaboration.h"

namespace moecollab::engine {
namespace {

// The training files beside the evaluated ones, by domain.
std::map<std::string, std::string> files_by_domain(const data::DataOptions& options) {
  std::map<std::string, std::string> files;
  for (const data::DataFile& file : data::training_files(options))
    files[file.domain] = file.path.string();
  return files;
}

std::vector<std::string> names_of(const std::vector<pipeline::InstalledExpert*>& experts) {
  std::vector<std::string> names;
  for (const pipeline::InstalledExpert* expert : experts) names.push_back(expert->name);
  return names;
}

}  // namespace

Json run_eval(const EvalOptions& options, const RunContext& context) {
  prepare(options);
  if (options.top_k) check_top_k(options.registry, *options.top_k);
  const std::vector<data::Dataset> datasets =
      read_datasets(options.data, "test-else-dev", context.log);
  pipeline::Pool pool(pool_options(options, context));
  pool.require_experts();
  const LoadedGate gate = load_gate(options.registry, options.fusion, options.top_k, context.log);
  pipeline::Collaboration collaboration(pool, pipeline::open_gate(gate.file, pool), gate.fusion,
                                        gate.top_k);

  CollectingLog notes(context.log);
  evaluation::EvaluationContext about;
  about.command = options.command;
  about.seed = options.seed;
  about.baselines = evaluation::load_baselines(
      pool, {registry::deep_baseline(options.registry), contribution::open_deep_baseline}, notes);
  about.training =
      evaluation::read_training(options.registry, names_of(collaboration.experts()), notes);
  about.training_files = files_by_domain(options.data);
  Json report = evaluation::evaluate(collaboration, gate.file, datasets, about, notes);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  return report;
}

}  // namespace moecollab::engine
