#include "base/error.h"
#include "contribution/deep_baseline.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "registry/lock.h"
#include "training/head_baseline.h"

namespace moecollab::engine {
namespace {

// The registry with what a baseline learns from: labels of its experts, and an encoder.
void require_ready(const pipeline::Pool& pool, const char* why) {
  pool.require_experts();
  if (pool.encoder() == nullptr) {
    throw Error("E_ENCODER", std::string(why) + ", but registry.toml names no encoder",
                "set [encoder] path in registry.toml");
  }
}

Json train_head(const TrainBaselineOptions& options, const RunContext& context) {
  training::HeadTrainingOptions head;
  head.epochs = options.epochs.value_or(head.epochs);
  head.lr = options.lr.value_or(head.lr);
  head.weight_decay = options.weight_decay.value_or(head.weight_decay);
  head.batch = options.batch.value_or(head.batch);
  head.seed = options.seed;
  training::validate(head);
  const std::vector<data::Dataset> datasets =
      read_datasets(with_registry(options.data, options.registry), "train", context.log);
  pipeline::Pool pool(pool_options(options, context));
  require_ready(pool, "the head reads encoder features");
  const training::HeadTrained trained = training::train_head(datasets, pool, head);
  return {{"baseline", "head"},
          {"file", trained.file.string()},
          {"texts", trained.fit.texts},
          {"labels", trained.labels},
          {"epochs", trained.fit.epochs},
          {"held_out_loss", trained.fit.held_out_loss},
          {"held_out_accuracy", trained.fit.held_out_accuracy},
          {"fit_seconds", trained.seconds}};
}

Json train_deep(const TrainBaselineOptions& options, const RunContext& context) {
  contribution::ExpertOptions asked;
  asked.config = options.config;
  asked.recipe.epochs = options.epochs;
  asked.recipe.lr = options.lr;
  asked.recipe.batch = options.batch;
  asked.checkpoints = options.checkpoints;
  asked.seed = options.seed;
  const contribution::ExpertPlan plan = contribution::plan_deep_baseline(asked);
  const std::vector<data::Dataset> datasets =
      read_datasets(with_registry(options.data, options.registry), "train", context.log);
  pipeline::Pool pool(pool_options(options, context));
  require_ready(pool, "the model forks from the encoder");
  const contribution::DeepBaselineTrained trained =
      contribution::train_deep_baseline(plan, datasets, pool);
  return {{"baseline", "deep"},           {"file", trained.folder.string()},
          {"texts", trained.texts},       {"labels", trained.labels},
          {"epochs", trained.epochs},     {"held_out_loss", nullptr},
          {"held_out_accuracy", nullptr}, {"fit_seconds", trained.seconds}};
}

}  // namespace

Json run_train_baseline(const TrainBaselineOptions& options, const RunContext& context) {
  prepare(options);
  require_fp32(options, context.log);
  require_writable_parts(
      options.registry,
      {registry::kBaselinesFolder, registry::kCheckpointsFolder, registry::kHistoryFolder});
  return options.kind == BaselineKind::kHead ? train_head(options, context)
                                             : train_deep(options, context);
}

}  // namespace moecollab::engine
