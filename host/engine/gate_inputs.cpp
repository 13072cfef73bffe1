#include "engine/gate_inputs.h"

#include <fmt/format.h>

#include "base/error.h"
#include "engine/session.h"
#include "training/gate_prior.h"

namespace moecollab::engine {
namespace {

training::GateTrainingOptions training_options(const TrainGateOptions& options) {
  training::GateTrainingOptions training;
  training.objective = {
      .lambda1 = options.lambda1,
      .lambda2 = options.lambda2,
      .entropy_sign = gate::parse_entropy_sign(options.entropy_sign),
      .balance_window = options.balance_window,
      .free_bits = options.free_bits,
      .switch_load = options.switch_load,
      .importance_cv2 = options.importance_cv2,
      .z_loss = options.z_loss,
  };
  training.fusion = fusion::parse_mode(options.fusion);
  training.top_k = options.top_k;
  training.epochs = options.epochs;
  training.lr = options.lr;
  training.weight_decay = options.weight_decay;
  training.batch = options.batch;
  training.seed = options.seed;
  training.optimizer = training::parse_gate_optimizer(options.optimizer);
  training.gate = training::parse_gate_kind(options.gate);
  training.hidden = options.hidden;
  training::validate(training);
  return training;
}

// --layers (means of these), or the default.
std::vector<encoder::PooledKey> gate_features(const TrainGateOptions& options, int64_t layers) {
  if (options.layers.empty()) return gate::default_features(layers);
  std::vector<encoder::PooledKey> features;
  for (const int64_t layer : options.layers) {
    if (layer < 0 || layer > layers) {
      throw Error("E_CONFIG",
                  fmt::format("--layers has {}, the encoder has layers 0 (embeddings) to {}", layer,
                              layers));
    }
    features.push_back({static_cast<int>(layer), encoder::Pooling::kMean});
  }
  return features;
}

void report_calibration(const GateInputs& inputs) {
  const Log log = inputs.pool->context().log;
  const std::vector<std::string> names = inputs.expert_names();
  for (size_t e = 0; e < names.size(); ++e) {
    const training::Calibration& c = inputs.calibration[e];
    if (c.texts == 0) {
      log.warning(fmt::format(
          "expert {} has no held-out text of its own labels; its temperature stays {:g}", names[e],
          c.temperature));
    } else if (c.temperature == training::kMinTemperature ||
               c.temperature == training::kMaxTemperature) {
      log.warning(fmt::format(
          "expert {}: the best temperature lies beyond {:g}, where the search ends ({} texts)",
          names[e], c.temperature, c.texts));
    }
  }
}

}  // namespace

std::vector<std::string> GateInputs::expert_names() const {
  std::vector<std::string> names;
  for (const pipeline::InstalledExpert& expert : pool->experts()) names.push_back(expert.name);
  return names;
}

training::GateProblem GateInputs::problem() const {
  return {
      data, labels, pool->labels(), features, training.fusion, training.top_k, pool->context().log};
}

Json fit_json(const TrainGateOptions& options) {
  return {{"epochs", options.epochs},
          {"lr", options.lr},
          {"weight_decay", options.weight_decay},
          {"batch", options.batch},
          {"optimizer", options.optimizer},
          {"hidden", options.hidden},
          {"prior", options.prior},
          {"calibrate", options.calibrate},
          {"keep_replay", options.keep_replay}};
}

void restore_gate_options(const pipeline::GateFile& file, Log log, TrainGateOptions& options) {
  const gate::ObjectiveOptions& objective = file.objective;
  options.fusion = fusion::name(file.fusion);
  options.top_k = file.top_k;
  options.lambda1 = objective.lambda1;
  options.lambda2 = objective.lambda2;
  options.entropy_sign = gate::name(objective.entropy_sign);
  options.balance_window = objective.balance_window;
  options.free_bits = objective.free_bits;
  options.switch_load = objective.switch_load;
  options.importance_cv2 = objective.importance_cv2;
  options.z_loss = objective.z_loss;
  options.gate = file.gate.is_mlp() ? "mlp" : "linear";
  options.layers.clear();
  for (const encoder::PooledKey& feature : file.gate.features)
    options.layers.push_back(feature.layer);
  if (file.fit.empty()) {
    log.warning(
        "gate.toml is of an earlier version, which did not record --calibrate, --prior, "
        "--keep-replay and the optimiser's settings: the defaults are taken");
  }
  const auto restore = [&](const char* key, auto& value) { value = file.fit.value(key, value); };
  restore("epochs", options.epochs);
  restore("lr", options.lr);
  restore("weight_decay", options.weight_decay);
  restore("batch", options.batch);
  restore("optimizer", options.optimizer);
  restore("hidden", options.hidden);
  restore("prior", options.prior);
  restore("calibrate", options.calibrate);
  restore("keep_replay", options.keep_replay);
}

GateInputs prepare_gate(const TrainGateOptions& options, const RunContext& context,
                        const std::function<void()>& check_outputs) {
  prepare(options);
  GateInputs inputs;
  inputs.training = training_options(options);
  check_top_k(options.registry, options.top_k);
  check_outputs();
  inputs.datasets = read_datasets(options.data, "train", context.log);
  inputs.pool = std::make_unique<pipeline::Pool>(pool_options(options, context));
  pipeline::Pool& pool = *inputs.pool;
  pool.require_experts();
  if (pool.encoder() == nullptr) {
    throw Error("E_ENCODER", "the gate reads encoder features, but registry.toml names no encoder",
                "set [encoder] path in registry.toml");
  }
  for (const pipeline::InstalledExpert& expert : pool.experts())
    inputs.labels.push_back(expert.labels);
  inputs.features = gate_features(options, pool.encoder()->config().layers);
  inputs.data = training::collect_gate_data(pool, inputs.datasets, inputs.features);
  if (options.calibrate) {
    inputs.calibration = training::calibrate(inputs.data.held_out.targets,
                                             inputs.data.held_out.logits, inputs.labels);
    report_calibration(inputs);
  }
  if (options.prior != "uniform") {
    inputs.training.prior = training::make_prior(options.prior, inputs.expert_names(),
                                                 inputs.labels, pool.labels(), inputs.data);
  }
  return inputs;
}

}  // namespace moecollab::engine
