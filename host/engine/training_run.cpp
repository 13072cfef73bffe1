#include "engine/training_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "pipeline/instantiate.h"

namespace moecollab::engine {

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
  training.patience = choose(options.patience, kind.patience, int32_t{5});
  training.refit = !options.no_refit;
  training.resume = options.resume;
  training.checkpoints = options.registry / "checkpoints" / options.name;
  training.checkpoint_seconds = options.checkpoint_seconds;
  training::validate(training);
  return training;
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
                    {"engine", pipeline::engine_version()},
                    {"threads", pool.options().threads},
                    {"recipe",
                     {r.epochs, r.batch, r.schedule.lr, r.schedule.warmup, r.schedule.linear_decay,
                      r.clip, r.bucket, r.seed}},
                    {"run", {training.patience, training.refit, sha256_hex(weight_bytes)}}};
  return sha256_hex(to_line(all));
}

void write_history(const fs::path& registry, const std::string& name,
                   const std::vector<training::EpochRecord>& history) {
  const fs::path file = registry / "history" / (name + ".jsonl");
  fs::create_directories(file.parent_path());
  std::string lines;
  for (const training::EpochRecord& record : history)
    lines += to_line(training::to_json(record)) + "\n";
  write_file_atomic(file, lines);
}

Json recipe_json(const TrainExpertOptions& options,
                 const training::ExpertTrainingOptions& training) {
  const training::Recipe& r = training.recipe;
  return {{"epochs", r.epochs},
          {"batch", r.batch},
          {"lr", r.schedule.lr},
          {"warmup", r.schedule.warmup},
          {"schedule", r.schedule.linear_decay ? "linear" : "constant"},
          {"clip", r.clip},
          {"patience", training.patience},
          {"class_weights", options.class_weights},
          {"layers", options.layers},
          {"pooling", options.pooling}};
}

void restore_recipe(const registry::Manifest& manifest, TrainExpertOptions& options) {
  const Json& recipe = manifest.provenance["recipe"];
  options.epochs = recipe["epochs"].get<int>();
  options.batch = recipe["batch"].get<int64_t>();
  options.lr = recipe["lr"].get<double>();
  options.warmup = recipe["warmup"].get<double>();
  options.schedule = recipe["schedule"].get<std::string>();
  options.clip = recipe["clip"].get<double>();
  options.patience = recipe["patience"].get<int>();
  options.class_weights = recipe["class_weights"].get<std::string>();
  options.layers = recipe["layers"].get<std::vector<int64_t>>();
  options.pooling = recipe["pooling"].get<std::string>();
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
