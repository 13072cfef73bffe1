#include "engine/training_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "contribution/package_writer.h"
#include "gate/gate.h"
#include "pipeline/collaboration.h"
#include "pipeline/instantiate.h"
#include "pipeline/probe.h"
#include "training/held_out_file.h"

namespace moecollab::engine {
namespace {

constexpr size_t kProbeTexts = 4;

// Digest of everything that the trained expert's bits depend on.
std::string run_digest(const registry::Manifest& manifest, const registry::Package& kind,
                       const training::ExpertTrainingOptions& training, const pipeline::Pool& pool,
                       std::span<const float> weights) {
  const std::string_view weight_bytes(reinterpret_cast<const char*>(weights.data()),
                                      weights.size_bytes());
  const training::Recipe& r = training.recipe;
  const Json all = {{"kind", kind.manifest_sha256},
                    {"config", manifest.config},
                    {"layers", manifest.input.layers},
                    {"pooling", manifest.input.pooling},
                    {"labels", manifest.task.labels},
                    {"data", manifest.provenance},
                    {"encoder", pool.encoder() == nullptr ? "" : pool.encoder()->fingerprint()},
                    {"engine", pipeline::engine_version(pool.options().compute)},
                    {"threads", pool.options().compute.threads},
                    {"batch_tokens", pool.options().batch_tokens},
                    {"cpu", at::get_cpu_capability()},
                    {"recipe",
                     {r.epochs, r.batch, r.schedule.lr, r.schedule.warmup, r.schedule.linear_decay,
                      r.clip, r.bucket, r.seed, name(r.precision)}},
                    {"run", {training.patience, training.refit, sha256_hex(weight_bytes)}}};
  return sha256_hex(to_line(all));
}

// registry/history/<name>.jsonl: an epoch a line, the whole file anew each time.
void write_history(const fs::path& registry, const std::string& name,
                   const std::vector<training::EpochRecord>& history) {
  const fs::path file = registry / "history" / (name + ".jsonl");
  make_folder(file.parent_path());
  std::string lines;
  for (const training::EpochRecord& record : history)
    lines += to_line(training::to_json(record)) + "\n";
  write_file_atomic(file, lines);
}

// The encoder features that the expert reads. A layer that it chose by its [config] goes into the
// manifest; --layers beside that is refused.
encoder::FeatureRequest adopt_layers(const experts::Expert& expert,
                                     const TrainExpertOptions& options,
                                     registry::Manifest& manifest) {
  if (!expert.adopted_layers()) return expert.request();
  if (!options.layers.empty()) {
    throw Error("E_CONFIG",
                fmt::format("--layers is given, but by its settings this kind reads layer {}",
                            expert.layers().front()),
                "leave --layers out, or change the settings with --set");
  }
  manifest.input.layers.assign(expert.layers().begin(), expert.layers().end());
  return expert.request();
}

// The shortest texts make a small probe file; ties by position.
std::vector<std::string> probe_texts(const std::vector<std::string_view>& texts) {
  std::vector<std::string> shortest(texts.begin(), texts.end());
  std::stable_sort(shortest.begin(), shortest.end(),
                   [](const auto& a, const auto& b) { return a.size() < b.size(); });
  shortest.resize(std::min(kProbeTexts, shortest.size()));
  return shortest;
}

}  // namespace

Json recipe_json(const TrainExpertOptions& options,
                 const training::ExpertTrainingOptions& training) {
  const training::Recipe& r = training.recipe;
  return {{"epochs", r.epochs},
          {"batch", r.batch},
          {"lr", r.schedule.lr},
          {"warmup", r.schedule.warmup},
          {"schedule", r.schedule.linear_decay ? "linear" : "constant"},
          {"clip", r.clip},
          {"precision", name(r.precision)},
          {"patience", training.patience},
          {"class_weights", options.class_weights},
          {"weights", options.weights},
          {"layers", options.layers},
          {"pooling", options.pooling},
          {"refit", training.refit}};
}

fs::path checkpoint_folder(const TrainExpertOptions& options) {
  return options.registry / "checkpoints" / options.name;
}

training::ExpertTrainingOptions training_options(const TrainExpertOptions& options,
                                                 const registry::TrainingTable& kind) {
  const auto choose = [](const auto& given, const auto& kinds, auto fallback) {
    if (given) return static_cast<decltype(fallback)>(*given);
    return kinds ? static_cast<decltype(fallback)>(*kinds) : fallback;
  };
  const std::string schedule = choose(options.schedule, kind.schedule, std::string("constant"));
  if (schedule != "constant" && schedule != "linear") {
    throw Error("E_CONFIG", fmt::format("--schedule is {}, expected constant or linear",
                                        escaped(schedule, 40)));
  }
  training::ExpertTrainingOptions training;
  training::Recipe& recipe = training.recipe;
  recipe.epochs = choose(options.epochs, kind.epochs, int32_t{60});
  recipe.batch = choose(options.batch, kind.batch, int64_t{32});
  recipe.schedule.lr = choose(options.lr, kind.lr, 3e-4);
  recipe.schedule.warmup = choose(options.warmup, kind.warmup, 0.0);
  recipe.schedule.linear_decay = schedule == "linear";
  recipe.clip = choose(options.clip, kind.clip, 0.0);
  recipe.bucket = kind.bucket.value_or(false);
  recipe.seed = options.seed;
  recipe.precision = options.training_precision ? *options.training_precision
                                                : resolve_training_precision(kind.precision);
  training.patience = choose(options.patience, kind.patience, int32_t{5});
  training.refit = !options.no_refit;
  training.resume = options.resume;
  training.checkpoints = checkpoint_folder(options);
  training.checkpoint_seconds = options.checkpoint_seconds;
  training::validate(training);
  return training;
}

registry::TrainingTable kept_training(const registry::TrainingTable& kind) {
  registry::TrainingTable kept;
  if (kind.precision == "bf16") kept.precision = kind.precision;
  return kept;
}

std::vector<float> balanced_weights(const std::vector<int32_t>& labels, size_t classes) {
  std::vector<int64_t> counts(classes);
  for (const int32_t label : labels) ++counts[static_cast<size_t>(label)];
  const auto present = std::count_if(counts.begin(), counts.end(), [](int64_t c) { return c > 0; });
  std::vector<float> weights;
  for (const int32_t label : labels) {
    const auto share = static_cast<double>(present * counts[static_cast<size_t>(label)]);
    weights.push_back(static_cast<float>(static_cast<double>(labels.size()) / share));
  }
  return weights;
}

training::TrainedExpert train_kind(const TrainExpertOptions& options,
                                   training::ExpertTrainingOptions training, pipeline::Pool& pool,
                                   const registry::Package& kind, registry::Manifest& manifest,
                                   const Lesson& lesson) {
  manifest.files = kind.manifest.files;
  const auto make = [&] {
    return pipeline::instantiate_untrained({kind.folder, manifest, kind.manifest_sha256},
                                           pool.encoder(), pool.options().compute, pool.context(),
                                           static_cast<int32_t>(manifest.task.labels.size()),
                                           Json::object(), options.seed, training.recipe.precision);
  };
  encoder::FeatureRequest request;
  {
    const auto untrained = make();
    if (options.weights == "bf16" && !untrained->learns_parameters_only()) {
      throw Error("E_CONFIG",
                  fmt::format("--weights is bf16, but kind {} keeps more than the parameters of "
                              "moecollab.params/1",
                              escaped(options.kind, 80)),
                  "use --weights f32");
    }
    request = adopt_layers(*untrained, options, manifest);
  }
  if (!request.pooled.empty()) {
    // The gate's features come from the same pass, so that fitting it later runs the encoder on
    // nothing.
    for (const encoder::PooledKey& key : gate::default_features(pool.encoder()->config().layers))
      request.pooled.insert(key);
  }
  const training::TrainingSet set = {
      pipeline::features_of(pool, lesson.texts, request, "encoding " + manifest.task.domain),
      lesson.labels, lesson.held_out, lesson.weights};
  training.run = run_digest(manifest, kind, training, pool, set.weights);
  return training::train_expert(make, set, training, pool.context(),
                                [&](const std::vector<training::EpochRecord>& history) {
                                  write_history(options.registry, options.name, history);
                                });
}

registry::Package write_trained(const fs::path& folder, const TrainExpertOptions& options,
                                const registry::Manifest& manifest, const registry::Package& kind,
                                training::TrainedExpert& trained, pipeline::Pool& pool,
                                const std::vector<std::string_view>& texts) {
  const bool bfloat16 = options.weights == "bf16";
  if (bfloat16) trained.expert->round_to_bfloat16();
  fs::remove_all(folder);
  make_folder(folder);
  return contribution::write_package(
      folder,
      {manifest, kind.folder / registry::library_file(kind.manifest), trained.expert->learnt(),
       bfloat16, pipeline::make_probe(*trained.expert, pool.encoder(), probe_texts(texts))});
}

// KEY=VALUE of --set, the value read as JSON where it is some and as a string else.
Json parse_settings(const std::vector<std::string>& settings) {
  Json config = Json::object();
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error("E_CONFIG", fmt::format("--set {} is not KEY=VALUE", escaped(setting, 80)));
    }
    const std::string value = setting.substr(equals + 1);
    try {
      config[setting.substr(0, equals)] = parse_json(value);
    } catch (const std::invalid_argument&) {
      config[setting.substr(0, equals)] = value;
    }
  }
  return config;
}

bool was_trained_here(const pipeline::InstalledExpert& expert, const fs::path& registry) {
  const Json& provenance = expert.package.manifest.provenance;
  return provenance.contains("kind") && provenance.contains("recipe") &&
         fs::exists(training::held_out_path(registry, expert.sha256()));
}

void restore_recipe(const registry::Manifest& manifest, TrainExpertOptions& options) {
  const Json& recipe = manifest.provenance["recipe"];
  options.epochs = recipe["epochs"].get<int>();
  options.batch = recipe["batch"].get<int64_t>();
  options.lr = recipe["lr"].get<double>();
  options.warmup = recipe["warmup"].get<double>();
  options.schedule = recipe["schedule"].get<std::string>();
  options.clip = recipe["clip"].get<double>();
  if (recipe.contains("precision")) {
    options.training_precision =
        parse_precision(recipe["precision"].get<std::string>(), "the recipe's precision");
  }
  options.patience = recipe["patience"].get<int>();
  options.class_weights = recipe["class_weights"].get<std::string>();
  options.weights = recipe.value("weights", std::string("f32"));
  options.layers = recipe["layers"].get<std::vector<int64_t>>();
  options.pooling = recipe["pooling"].get<std::string>();
  options.no_refit = !recipe.value("refit", true);
  for (const auto& [key, value] : manifest.config.items()) {
    options.settings.push_back(key + "=" + to_line(value));
  }
}

Json history_json(const std::vector<training::EpochRecord>& history) {
  Json list = Json::array();
  for (const training::EpochRecord& record : history) list.push_back(training::to_json(record));
  return list;
}

}  // namespace moecollab::engine
