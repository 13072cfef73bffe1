#include "ablation/ablation.h"
#include "ablation/ablation_options.h"
#include "ablation/upgraded_pool.h"
#include "base/file_lock.h"
#include "base/measure.h"
#include "data/hold_out.h"
#include "engine/agreement.h"
#include "engine/loaded_gate.h"
#include "engine/output_folder.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/ablation_report.h"
#include "registry/layout.h"
#include "training/gate_fit_record.h"
#include "training/gate_prior.h"

namespace moecollab::engine {
namespace {

// The texts that gates are fitted on, of the folder that holds those that judge.
std::vector<data::Dataset> read_training(const data::DataOptions& options, Log log) {
  data::require_training_folder(options, "ablate");
  data::DataOptions training = options;
  training.split = "train";
  std::vector<data::Dataset> datasets = read_datasets(training, "train", log);
  data::require_held_out(datasets);
  return datasets;
}

// What the steps are and depend on beside the registry, for several ranks to compare.
Json asked_for(const pipeline::Pool& pool, const LoadedGate& gate,
               const std::vector<std::string>& groups) {
  if (pool.context().ranks == nullptr) return Json::object();
  const std::string prior = training::settings_of(gate.file, Log()).prior_source;
  Json json = {{"fusion", fusion::name(gate.fusion)},
               {"top_k", gate.top_k},
               {"only", groups},
               {"file of the prior", training::prior_digest(prior)}};
  for (const ablation::Upgrade& upgrade : ablation::upgrades_of(pool))
    json["newer version of expert " + upgrade.name] = {upgrade.version.text(), upgrade.sha256};
  return json;
}

}  // namespace

Json run_ablate(const AblateOptions& options, const RunContext& context) {
  const Stopwatch watch;
  const std::vector<std::string> groups = ablation::chosen_groups(options.groups);
  prepare(options);
  require_fp32(options, context.log);
  const fs::path folder = options.out.value_or(registry::ablation_folder(options.registry));
  if (leads(context.ranks))
    make_output_folder(folder, {"steps.jsonl", "ablation.json", "ablation.md", "ablation.html"});
  const data::DataOptions data = with_registry(options.data, options.registry);
  const std::vector<data::Dataset> training = read_training(data, context.log);
  const std::vector<data::Dataset> judged = read_datasets(data, "test-else-dev", context.log);
  pipeline::Pool pool(pool_options(options, context));
  pool.require_experts();
  const LoadedGate gate = load_gate(pool, options.fusion, options.top_k, context.log);
  share_work(pool, {&training, &judged}, options, asked_for(pool, gate, groups));
  const ablation::Subject subject{pool, gate.file, gate.fusion, gate.top_k, training, judged};
  if (!leads(context.ranks))
    return ablation::ablate(subject, groups, options.seed, nullptr, context);
  const std::string digest = ablation::digest_of(subject, options.seed);
  const FileLock lock =
      FileLock::claim(folder / "lock", "wait for it, or name another folder with --out");
  FinishedLines finished(folder / "steps.jsonl", digest, ablation::step_key,
                         {"step", "remove the file, or ablate into another folder"}, context.log);
  Json result = {{"schema", evaluation::kAblationSchema}, {"digest", digest}};
  result.update(ablation::ablate(subject, groups, options.seed, &finished, context));
  for (const std::vector<data::Dataset>* datasets : {&training, &judged})
    for (const data::Dataset& dataset : *datasets) data::require_unchanged(dataset);
  result["folder"] = folder.string();
  result["seconds"] = watch.seconds();
  write_file_atomic(folder / "ablation.json", to_text(result));
  const evaluation::TablesPage page = evaluation::ablation_page(result);
  write_file_atomic(folder / "ablation.md", markdown_text(page));
  write_file_atomic(folder / "ablation.html", html_document(page));
  return result;
}

}  // namespace moecollab::engine
