#include "contribution/deep_baseline.h"
#include "engine/agreement.h"
#include "engine/loaded_gate.h"
#include "engine/monitor.h"
#include "engine/precision.h"
#include "engine/precision_trial.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/evaluate.h"
#include "evaluation/histories.h"
#include "evaluation/monitor_file.h"
#include "evaluation/report.h"
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

struct Opening {
  EvalOptions options;
  pipeline::OtherPrecision other;
};

// In the precision that auto comes to; one that is asked for is on trial, and needs no record.
Opening opening_of(const EvalOptions& options, Log log) {
  if (is_trial(options)) {
    require_writable_parts(options.registry, {registry::kPrecisionFolder});
    return {options, pipeline::OtherPrecision::kPermitted};
  }
  Opening opening{options, {}};
  const AnsweringPrecision found = answering_precision(options, options.fusion, options.top_k, log);
  opening.options.compute.precision = found.precision;
  opening.other = found.other;
  return opening;
}

}  // namespace

Json run_eval(const EvalOptions& options, const RunContext& context) {
  prepare(options);
  if (options.top_k) check_top_k(options.registry, *options.top_k);
  const bool writes = leads(context.ranks);
  if (options.monitor && writes) {
    require_writable(*options.monitor);
    evaluation::read_monitor(*options.monitor);
  }
  const std::vector<data::Dataset> datasets =
      read_datasets(with_registry(options.data, options.registry), "test-else-dev", context.log);
  if (options.arrangement == evaluation::Arrangement::kSeparate && !options.no_cache) {
    throw Error("E_CONFIG", "--arrangement separate counts encoder passes, and a cache saves them",
                "add --no-cache");
  }
  const Opening opening = opening_of(options, context.log);
  pipeline::Pool pool(pool_options(opening.options, context));
  pool.require_experts();
  share_work(pool, {&datasets}, opening.options);
  const LoadedGate gate = load_gate(pool, options.fusion, options.top_k, context.log);
  pipeline::RoutedGate routed = pipeline::open_gate(gate.file, pool, {}, opening.other);
  if (options.strict) pipeline::require_fitted(routed);
  pipeline::Collaboration collaboration(pool, std::move(routed), gate.fusion, gate.top_k);
  CollectingLog notes(context.log);
  evaluation::EvaluationContext about;
  about.command = options.command;
  about.seed = options.seed;
  about.arrangement = options.arrangement;
  about.probe_routing = options.diagnose;
  about.examples = !options.no_examples;
  about.baselines = evaluation::load_baselines(
      pool, {registry::deep_baseline(options.registry), contribution::open_deep_baseline}, notes);
  about.training =
      evaluation::read_training(options.registry, names_of(collaboration.experts()), notes);
  about.seen = seen_texts(options, collaboration.experts());
  warn_about_seen(about.seen, datasets, notes.log());
  evaluation::Figures figures =
      evaluation::evaluate(collaboration, gate.file, datasets, about, notes);
  if (options.monitor && writes)
    add_to_monitor(*options.monitor, gate.file.sha256, figures, notes.log());
  Json report = evaluation::report_json(figures);
  if (writes && is_trial(options) && gate.file.precision != options.compute.precision)
    report["precision"] = try_precision(options, gate, datasets, figures, context);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  return report;
}

}  // namespace moecollab::engine
