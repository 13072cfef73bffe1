#include <fmt/format.h>

#include <chrono>

#include "base/error.h"
#include "base/strings.h"
#include "data/hold_out.h"
#include "engine/deep_baseline.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/collaboration.h"
#include "pipeline/targets.h"
#include "training/linear_head.h"

namespace moecollab::engine {
namespace {

// What the gate reads, so that both learn from the same features; the default where none is fitted.
std::vector<encoder::PooledKey> features_of_gate(const TrainBaselineOptions& options,
                                                 const pipeline::Pool& pool) {
  if (fs::exists(pipeline::gate_folder(options.registry) / "gate.toml"))
    return pipeline::read_gate(options.registry, pool.context().log).gate.features;
  pool.context().log.note("no gate is fitted yet; the head reads what a gate reads by default");
  return gate::default_features(pool.encoder()->config().layers);
}

training::HeadData collect(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                           const std::vector<encoder::PooledKey>& features) {
  std::vector<std::string_view> texts;
  std::vector<int64_t> targets;
  training::HeadData data;
  for (const data::Dataset& dataset : datasets) {
    const int space = pool.space_of_domain(dataset.domain);
    for (const int id : pipeline::target_ids(dataset, pool.labels(), space)) targets.push_back(id);
    for (const std::string_view text : pipeline::text_views(dataset)) texts.push_back(text);
    for (const bool held : data::held_out(dataset)) data.held_out.push_back(held);
  }
  encoder::FeatureRequest request;
  request.pooled.insert(features.begin(), features.end());
  data.z = gate::side_by_side(
      features, pipeline::features_of(pool, texts, request, "encoding training texts"));
  data.targets = encoder::index_tensor(targets);
  return data;
}

training::HeadTrainingOptions head_options(const TrainBaselineOptions& options) {
  if (!options.settings.empty() || options.resume) {
    throw Error("E_CONFIG",
                "--set and --resume are for the deep baseline; the head fits in seconds",
                "leave them out");
  }
  training::HeadTrainingOptions training;
  training.epochs = options.epochs.value_or(training.epochs);
  training.lr = options.lr.value_or(training.lr);
  training.weight_decay = options.weight_decay.value_or(training.weight_decay);
  training.batch = options.batch.value_or(training.batch);
  training.seed = options.seed;
  training::validate(training);
  return training;
}

Json train_head(const TrainBaselineOptions& options, const RunContext& context) {
  const training::HeadTrainingOptions training = head_options(options);
  const std::vector<data::Dataset> datasets = read_datasets(options.data, "train", context.log);
  pipeline::Pool pool(pool_options(options, context));
  pool.require_experts();
  if (pool.encoder() == nullptr) {
    throw Error("E_ENCODER", "the head reads encoder features, but registry.toml names no encoder",
                "set [encoder] path in registry.toml");
  }
  require_writable(options.registry / registry::kLockFile);
  const auto features = features_of_gate(options, pool);
  const training::HeadData data = collect(pool, datasets, features);
  const auto start = std::chrono::steady_clock::now();
  const training::HeadFit fit =
      training::fit_head(data, features, pool.labels().size(), training, context);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  training::HeadFile head;
  head.linear = fit.linear;
  head.encoder_fingerprint = pool.encoder()->fingerprint();
  head.spaces = pool.labels().spaces();
  for (const data::Dataset& dataset : datasets) head.data[dataset.domain] = dataset.sha256;
  head.seed = options.seed;
  head.epochs = fit.epochs;
  head.texts = fit.texts;
  head.held_out_accuracy = fit.held_out_accuracy;
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  training::write_head(options.registry, head);
  return {{"baseline", "head"},
          {"file", training::head_path(options.registry).string()},
          {"texts", fit.texts},
          {"labels", pool.labels().size()},
          {"epochs", fit.epochs},
          {"held_out_loss", fit.held_out_loss},
          {"held_out_accuracy", fit.held_out_accuracy},
          {"fit_seconds", seconds}};
}

}  // namespace

Json run_train_baseline(const TrainBaselineOptions& options, const RunContext& context) {
  prepare(options);
  if (options.kind == "head") return train_head(options, context);
  if (options.kind != "deep") {
    const std::vector<std::string> kinds = {"head", "deep"};
    throw Error("E_CONFIG",
                fmt::format("the baseline {} is unknown{}", escaped(options.kind, 40),
                            did_you_mean(options.kind, kinds)),
                "known are head and deep");
  }
  if (options.weight_decay) {
    throw Error("E_CONFIG", "--weight-decay is for the head; the deep kind has its own",
                "leave it out");
  }
  return train_deep_baseline(options, context);
}

}  // namespace moecollab::engine
