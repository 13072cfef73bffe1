#include "contribution/alternation.h"
#include "contribution/gate_fit.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"

namespace moecollab::engine {
namespace {

// The settings of the gate that is there, or the defaults; λ as the options say.
training::GateTrainingOptions gate_settings(const TrainRoundsOptions& options, Log log) {
  training::GateTrainingOptions settings;
  if (fs::exists(registry::gate_file(options.registry)))
    settings = training::settings_of(pipeline::read_gate(options.registry, log), log);
  settings.seed = options.seed;
  settings.objective.lambda1 = options.lambda1.value_or(settings.objective.lambda1);
  settings.objective.lambda2 = options.lambda2.value_or(settings.objective.lambda2);
  training::validate(settings);
  return settings;
}

}  // namespace

Json run_train_rounds(const TrainRoundsOptions& options, const RunContext& context) {
  contribution::AlternationOptions alternation = options.alternation;
  alternation.seed = options.seed;
  contribution::validate(alternation);
  prepare(options);
  require_fp32(options, context.log);
  const training::GateTrainingOptions settings = gate_settings(options, context.log);
  check_top_k(options.registry, settings.top_k);
  require_writable_parts(options.registry,
                         {registry::kExpertsFolder, registry::kGateFolder, registry::kHeldOutFolder,
                          registry::kHistoryFolder, registry::kCheckpointsFolder});
  const std::vector<data::Dataset> datasets =
      read_datasets(with_registry(options.data, options.registry), "train", context.log);
  contribution::require_pupils(alternation, datasets, options.registry);
  const pipeline::PoolOptions open = pool_options(options, context);
  const auto fit_gate = [&]() -> contribution::GateFitSummary {
    pipeline::Pool pool(open);
    const contribution::FittedGate fitted =
        contribution::fit_and_write_gate(pool, datasets, settings);
    return {fitted.record.validation_task, fitted.record.texts};
  };
  return to_json(contribution::alternate(alternation, datasets, open, fit_gate));
}

}  // namespace moecollab::engine
