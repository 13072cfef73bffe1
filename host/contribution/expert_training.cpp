#include "contribution/expert_training.h"

#include <fmt/format.h>

#include <span>

#include "base/digest.h"
#include "base/error.h"
#include "base/shards.h"
#include "base/strings.h"
#include "contribution/kinds.h"
#include "contribution/package_writer.h"
#include "gate/gate.h"
#include "pipeline/collaboration.h"
#include "pipeline/instantiate.h"
#include "registry/names.h"

namespace moecollab::contribution {
namespace {

constexpr int32_t kLeastFolds = 5, kMostFolds = 100;

std::string digest_of(std::span<const float> values) {
  return sha256_hex({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

// Everything that the trained expert's bits depend on.
Json run_facts(const registry::Manifest& manifest, const registry::Package& kind,
               const training::ExpertTrainingOptions& training, const pipeline::Pool& pool,
               const training::TrainingSet& set) {
  const training::Recipe& r = training.recipe;
  Json facts = {{"kind", kind.manifest_sha256},
                {"config", manifest.config},
                {"layers", manifest.input.layers},
                {"pooling", manifest.input.pooling},
                {"labels", manifest.task.labels},
                {"provenance", manifest.provenance},
                {"encoder", pool.encoder() == nullptr ? "" : pool.encoder()->fingerprint()},
                {"engine", pipeline::engine_version(pool.options().compute)},
                {"threads", pool.options().compute.threads},
                {"batch_tokens", pool.options().batch_tokens},
                {"cpu", at::get_cpu_capability()},
                {"bucket", r.bucket},
                {"text_weights", digest_of(set.weights)}};
  if (pool.context().ranks != nullptr) facts["shards"] = kShards;
  if (set.targets.defined()) {
    const at::Tensor targets = set.targets.contiguous();
    facts["targets"] =
        digest_of({targets.const_data_ptr<float>(), static_cast<size_t>(targets.numel())});
  }
  return facts;
}

// The encoder features that the expert reads. A layer that it chose by its [config] goes into the
// manifest; layers asked for beside that are refused.
encoder::FeatureRequest adopt_layers(const experts::Expert& expert,
                                     const std::vector<int64_t>& asked,
                                     registry::Manifest& manifest) {
  if (!expert.adopted_layers()) return expert.request();
  if (!asked.empty()) {
    throw Error("E_CONFIG",
                fmt::format("layers are given, but by its settings this kind reads layer {}",
                            expert.layers().front()),
                "leave --layers out, or change the settings with --set");
  }
  manifest.input.layers.assign(expert.layers().begin(), expert.layers().end());
  return expert.request();
}

// What the expert reads of the lesson's texts. If a cache keeps them, the features that the gate
// and adapters read by default come from the same pass, so that what is trained next runs the
// encoder on nothing.
encoder::Features features_of(pipeline::Pool& pool, const Lesson& lesson,
                              const encoder::FeatureRequest& request, const std::string& domain) {
  encoder::FeatureRequest pass = request;
  if (pool.options().cache != nullptr && !(request.pooled.empty() && request.hidden.empty())) {
    for (const encoder::PooledKey& key : gate::default_features(pool.encoder()->config().layers))
      pass.pooled.insert(key);
  }
  encoder::Features features =
      pipeline::features_of(pool, lesson.texts, pass, "encoding " + domain);
  std::erase_if(features.pooled,
                [&](const auto& feature) { return !request.pooled.contains(feature.first); });
  return features;
}

void check(const ExpertOptions& asked) {
  if (!registry::is_name(asked.name)) {
    throw Error("E_CONFIG", fmt::format("the name {} is not made of 1 to 64 of a-z, 0-9, _ and -",
                                        escaped(asked.name, 80)));
  }
}

training::ExpertTrainingOptions training_options(const ExpertOptions& asked,
                                                 const ExpertRecipe& recipe) {
  training::ExpertTrainingOptions training;
  training.recipe = {
      .epochs = recipe.epochs,
      .batch = recipe.batch,
      .schedule = {},
      .clip = recipe.clip,
      .bucket = recipe.bucket,
      .seed = asked.seed,
      .precision = *recipe.precision,
  };
  training.recipe.schedule.lr = recipe.lr;
  training.recipe.schedule.warmup = recipe.warmup;
  training.recipe.schedule.linear_decay = recipe.schedule == RateSchedule::kLinear;
  training.patience = recipe.patience;
  training.refit = recipe.refit;
  training.resume = asked.checkpoints.resume;
  training.checkpoint_seconds = asked.checkpoints.seconds;
  training::validate(training);
  if (recipe.folds != 1 && (recipe.folds < kLeastFolds || recipe.folds > kMostFolds)) {
    throw Error(
        "E_CONFIG",
        fmt::format("--folds is {}, expected 1, or {} to {}: the model of a fold learns from "
                    "four fifths of the texts or more",
                    recipe.folds, kLeastFolds, kMostFolds));
  }
  return training;
}

// An untrained expert of the kind, whose package's weights can be of the type that was asked for.
void require_weight_type(const ExpertPlan& plan, const experts::Expert& untrained) {
  if (plan.recipe.weights == WeightType::kF32 || untrained.learns_parameters_only()) return;
  throw Error("E_CONFIG",
              fmt::format("weights are bf16, but kind {} keeps more than the parameters of "
                          "moecollab.params/1",
                          escaped(plan.asked.kind, 80)),
              "use --weights f32");
}

// An expert that trains itself learns labels, not shares of them.
void require_gradients(const ExpertPlan& plan, const experts::Expert& untrained) {
  if (untrained.trainable()) return;
  throw Error(
      "E_TRAIN_UNSUPPORTED",
      fmt::format("--distill: kind {} has not moecollab.train/1, so the host cannot tell it "
                  "what the teachers say",
                  escaped(plan.asked.kind, 80)),
      "use a kind that the host's optimiser trains, such as adapter or deep-adapter");
}

// Only steps of the host's optimiser can be shared among ranks.
void require_shareable(const ExpertPlan& plan, experts::Expert& untrained, const Ranks* ranks) {
  if (!are_several(ranks) || untrained.trainable() || untrained.self_fitting() == nullptr) return;
  throw Error("E_CONFIG",
              fmt::format("kind {} learns by itself, which only one rank can do; {} were started",
                          escaped(plan.asked.kind, 80), ranks->size()),
              "start it without mpirun; kinds that learn by gradients, such as adapter and "
              "deep-adapter, share their steps");
}

// Bytes that its files take at most until it is installed: two checkpoints with the optimiser's two
// moments, the package, and its copy in the registry.
uint64_t space_of(const registry::Package& kind, experts::Expert& untrained, uint64_t seed) {
  uint64_t parameters = 0;
  if (untrained.trainable()) {
    for (const experts::Expert::Parameter& p : untrained.bind(seed)) parameters += p.value.nbytes();
  }
  return 2 * fs::file_size(kind.folder / registry::library_file(kind.manifest)) + 8 * parameters;
}

}  // namespace

void write_history(const fs::path& registry, const std::string& name,
                   const std::vector<training::EpochRecord>& history) {
  const fs::path file = registry::expert_history(registry, name);
  make_folder(file.parent_path());
  std::string lines;
  for (const training::EpochRecord& record : history)
    lines += to_line(training::to_json(record)) + "\n";
  write_file_atomic(file, lines);
}

ExpertPlan plan_expert(const ExpertOptions& asked) {
  check(asked);
  registry::PackageFolder folder(find_kind(asked.kind));
  registry::Package kind = registry::open_package(folder.path());
  ExpertRecipe recipe = resolve(asked.recipe, kind.manifest.training);
  if (const int64_t most = kind.manifest.input.max_batch; most > 0)
    recipe.batch = std::min(recipe.batch, most);
  training::ExpertTrainingOptions training = training_options(asked, recipe);
  return {asked, std::move(folder), std::move(kind), std::move(recipe), std::move(training)};
}

registry::Manifest begin_manifest(const ExpertPlan& plan) {
  registry::Manifest manifest = plan.kind.manifest;
  manifest.expert.id += "." + plan.asked.name;
  manifest.expert.name = plan.asked.name;
  manifest.training = {};
  if (plan.kind.manifest.training.precision == "bf16") manifest.training.precision = "bf16";
  manifest.config.update(plan.asked.config);
  return manifest;
}

training::TrainedExpert train_kind(const ExpertPlan& plan, pipeline::Pool& pool,
                                   registry::Manifest& manifest, const Lesson& lesson) {
  const registry::Package& kind = plan.kind;
  const fs::path& registry = pool.options().registry;
  require_readable(manifest);
  const auto make = [&] {
    return pipeline::instantiate_untrained(
        {kind.folder, manifest, kind.manifest_sha256}, pool.encoder(), pool.options().compute,
        pool.context(), pool.place(kind), static_cast<int32_t>(manifest.task.labels.size()),
        Json::object(), plan.asked.seed, plan.training.recipe.precision);
  };
  encoder::FeatureRequest request;
  {
    const auto untrained = make();
    require_weight_type(plan, *untrained);
    require_shareable(plan, *untrained, pool.context().ranks);
    if (lesson.targets.defined()) require_gradients(plan, *untrained);
    if (leads(pool.context().ranks)) {
      require_space(registry, space_of(kind, *untrained, plan.asked.seed),
                    "expert " + manifest.expert.name);
    }
    request = adopt_layers(*untrained, plan.recipe.layers, manifest);
    request.bf16_states = has_bf16_states(plan.recipe);
  }
  const training::TrainingSet set = {features_of(pool, lesson, request, manifest.task.domain),
                                     lesson.labels, lesson.folds, lesson.weights, lesson.targets};
  training::ExpertTrainingOptions training = plan.training;
  training.checkpoints = registry::checkpoint_folder(registry, plan.asked.name);
  training.run = run_facts(manifest, kind, training, pool, set);
  return training::train_expert(make, set, training, pool.context(),
                                [&](const std::vector<training::EpochRecord>& history) {
                                  write_history(registry, plan.asked.name, history);
                                });
}

}  // namespace moecollab::contribution
