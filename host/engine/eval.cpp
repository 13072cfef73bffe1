#include "contribution/deep_baseline.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/evaluate.h"
#include "evaluation/histories.h"
#include "pipeline/collaboration.h"
#include "registry/layout.h"
#include "training/held_out_file.h"

namespace moecollab::engine {
namespace {

// What the experts were trained on, and the training files beside the evaluated ones.
evaluation::SeenTexts seen_texts(const EvalOptions& options,
                                 const std::vector<pipeline::InstalledExpert*>& experts) {
  evaluation::SeenTexts seen;
  for (const pipeline::InstalledExpert* expert : experts) {
    const fs::path file = registry::held_out_file(options.registry, expert->sha256());
    const auto held_out =
        training::read_held_out(file, static_cast<int64_t>(expert->labels.columns.size()));
    if (held_out && !held_out->seen.empty())
      seen.add("expert " + expert->name, expert->domain(), held_out->seen);
  }
  for (const data::DataFile& file :
       data::training_files(with_registry(options.data, options.registry))) {
    const data::Dataset dataset = data::read_dataset(file.domain, file.path, file.reading);
    seen.add(file.path.string(), file.domain, evaluation::digests_of(dataset));
  }
  return seen;
}

// Says which texts are no fair test.
void warn_about_seen(const evaluation::SeenTexts& seen, const std::vector<data::Dataset>& datasets,
                     Log log) {
  for (const data::Dataset& dataset : datasets) {
    for (const std::string& warning : seen.warnings(dataset))
      log.warning(warning, "figures on texts that were trained on flatter");
  }
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
      read_datasets(with_registry(options.data, options.registry), "test-else-dev", context.log);
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
  about.seen = seen_texts(options, collaboration.experts());
  warn_about_seen(about.seen, datasets, notes.log());
  Json report = evaluation::evaluate(collaboration, gate.file, datasets, about, notes);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  return report;
}

}  // namespace moecollab::engine
