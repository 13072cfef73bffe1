#include <ATen/Version.h>

#include "base/digest.h"
#include "contribution/alternation.h"
#include "contribution/gate_fit.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/instantiate.h"

namespace moecollab::engine {
namespace {

// The settings of the gate in `begun`, a registry's folder, or the defaults; λ as the options say.
training::GateTrainingOptions gate_settings(const TrainRoundsOptions& options,
                                            const fs::path& begun, Log log) {
  training::GateTrainingOptions settings;
  if (fs::exists(registry::gate_file(begun))) {
    settings = training::settings_of(pipeline::read_gate(begun), log);
  } else {
    training::settle_for(options.compute.device, settings, log);
  }
  settings.seed = options.seed;
  settings.cross_fitted = !options.alternation.joint;  // which has one fold: like is judged by like
  settings.objective.lambda1 = options.lambda1.value_or(settings.objective.lambda1);
  settings.objective.lambda2 = options.lambda2.value_or(settings.objective.lambda2);
  training::validate(settings);
  return settings;
}

// All that the rounds come to depends on, beside the experts and the gate that are there.
Json run_facts(const TrainRoundsOptions& options, const std::vector<data::Dataset>& datasets,
               const std::map<std::string, std::string>& pupils) {
  const auto or_gates = [](const std::optional<double>& lambda) {
    return lambda ? Json(*lambda) : Json("the gate's");
  };
  Json data = Json::object();
  for (const data::Dataset& dataset : datasets) data[dataset.domain] = dataset.sha256;
  const contribution::AlternationOptions& alternation = options.alternation;
  return {{"engine", pipeline::engine_version(options.compute)},
          {"threads", options.compute.threads},
          {"batch_tokens", batch_tokens(options)},
          {"cpu", at::get_cpu_capability()},
          {"rounds", alternation.rounds},
          {"joint", alternation.joint},
          {"epochs", alternation.epochs},
          {"seed", options.seed},
          {"lambda1", or_gates(options.lambda1)},
          {"lambda2", or_gates(options.lambda2)},
          {"data", data},
          {"kinds", pupils},
          {"registry_toml",
           sha256_hex(read_file(registry::registry_path(options.registry), "E_REG_IO"))}};
}

}  // namespace

Json run_train_rounds(const TrainRoundsOptions& options, const RunContext& context) {
  contribution::AlternationOptions alternation = options.alternation;
  alternation.seed = options.seed;
  contribution::validate(alternation);
  prepare(options);
  require_fp32(options, context.log);
  require_writable_parts(options.registry,
                         {registry::kExpertsFolder, registry::kGateFolder, registry::kHeldOutFolder,
                          registry::kHistoryFolder, registry::kCheckpointsFolder});
  const std::vector<data::Dataset> datasets =
      read_datasets(with_registry(options.data, options.registry), "train", context.log);
  const auto pupils = contribution::require_pupils(alternation, datasets, options.registry);
  const pipeline::PoolOptions open = pool_options(options, context);
  contribution::UnfinishedRounds run(open, run_facts(options, datasets, pupils),
                                     alternation.checkpoints);
  const training::GateTrainingOptions settings = gate_settings(options, run.start(), context.log);
  check_top_k(options.registry, settings.top_k);
  const auto fit_gate = [&]() -> contribution::GateFitSummary {
    pipeline::Pool pool(open);
    const contribution::FittedGate fitted =
        contribution::fit_and_write_gate(pool, datasets, settings);
    return {fitted.record.validation_task, fitted.record.texts};
  };
  return to_json(contribution::alternate(alternation, datasets, open, fit_gate, run));
}

}  // namespace moecollab::engine
