#include "contribution/gate_fit.h"
#include "data/hold_out.h"
#include "engine/agreement.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"

namespace moecollab::engine {
namespace {

Json calibration_json(const contribution::FittedGate& fitted) {
  if (fitted.calibration.empty()) return nullptr;
  Json json = Json::object();
  for (size_t e = 0; e < fitted.calibration.size(); ++e) {
    const training::Calibration& c = fitted.calibration[e];
    json[fitted.file.rows[e].name] = {{"temperature", c.temperature},
                                      {"texts", c.texts},
                                      {"nll_before", c.nll_before},
                                      {"nll_after", c.nll_after}};
  }
  return json;
}

Json choice_json(const std::optional<training::TopKChoice>& choice) {
  if (!choice) return nullptr;
  return {{"k", choice->top_k}, {"texts", choice->texts}, {"accuracy", choice->accuracy}};
}

}  // namespace

Json summary(const contribution::FittedGate& fitted) {
  const training::GateFitRecord& record = fitted.record;
  Json result = {{"experts", fitted.file.rows.size()},
                 {"texts", record.texts},
                 {"fusion", fusion::name(record.settings.fusion)},
                 {"top_k", fitted.file.top_k},
                 {"top_k_auto", choice_json(record.top_k_choice)},
                 {"optimizer", training::name(record.settings.optimizer)},
                 {"epochs", record.epochs},
                 {"skipped_steps", record.skipped_steps},
                 {"task_loss", record.task},
                 {"validation_task_loss",
                  record.validation_task ? Json(*record.validation_task) : Json(nullptr)},
                 {"entropy", record.entropy},
                 {"balance", record.balance},
                 {"expert_accuracy", fitted.file.metrics.at("expert_accuracy")},
                 {"calibration", calibration_json(fitted)},
                 {"fit_seconds", fitted.seconds}};
  const Json& metrics = fitted.file.metrics;
  if (metrics.contains("share_guard")) result["share_guard"] = metrics["share_guard"];
  return result;
}

Json run_train_gate(const TrainGateOptions& options, const RunContext& context) {
  prepare(options);
  require_fp32(options, context.log);
  training::GateTrainingOptions settings = options.gate;
  settings.seed = options.seed;
  training::settle_for(options.compute.device, settings, context.log);
  training::validate(settings);
  check_top_k(options.registry, settings.top_k);
  if (leads(context.ranks)) require_writable_parts(options.registry, {registry::kGateFolder});
  const std::vector<data::Dataset> datasets =
      read_datasets(with_registry(options.data, options.registry), "train", context.log);
  data::require_held_out(datasets);
  pipeline::Pool pool(pool_options(options, context));
  share_work(pool, {&datasets}, options);
  const training::GateInputs inputs = training::collect_gate_inputs(pool, datasets, settings);
  // What is fitted is a thousandth of what was encoded: one rank does it.
  if (!leads(context.ranks)) return nullptr;
  const contribution::FittedGate fitted = contribution::fit_and_write_gate(pool, datasets, inputs);

  const encoder::EncoderCounters& counters = pool.encoder()->counters();
  int64_t calls = 0;
  for (const pipeline::InstalledExpert& expert : pool.experts()) calls += expert.calls;
  Json result = summary(fitted);
  result.update({{"gate", registry::gate_folder(options.registry).string()},
                 {"expert_calls", calls},
                 {"encoder_forwards", counters.forwards},
                 {"cache_hits", counters.cache_hits}});
  return result;
}

}  // namespace moecollab::engine
