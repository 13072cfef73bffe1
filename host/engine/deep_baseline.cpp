#include "engine/deep_baseline.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "engine/session.h"
#include "engine/stock_plugins.h"
#include "engine/training_run.h"
#include "pipeline/collaboration.h"
#include "pipeline/instantiate.h"
#include "pipeline/targets.h"

namespace moecollab::engine {
namespace {

constexpr const char* kKind = "deep-adapter";
constexpr const char* kName = "multi-task-deep";

std::string qualified(const fusion::LabelUnion& labels, int id) {
  return labels.spaces()[static_cast<size_t>(labels.space_of(id))].name + ":" + labels.label(id);
}

TrainExpertOptions expert_options(const TrainBaselineOptions& options) {
  TrainExpertOptions expert;
  static_cast<CommonOptions&>(expert) = options;
  expert.name = kName;
  expert.kind = kKind;
  expert.settings = options.settings;
  expert.epochs = options.epochs;
  expert.lr = options.lr;
  expert.batch = options.batch;
  expert.resume = options.resume;
  expert.checkpoint_seconds = options.checkpoint_seconds;
  return expert;
}

registry::Manifest manifest_of(const registry::Manifest& kind, const TrainExpertOptions& options,
                               const pipeline::Pool& pool,
                               const std::vector<data::Dataset>& datasets) {
  registry::Manifest manifest = kind;
  manifest.training = kept_training(kind.training);
  manifest.expert.id = kind.expert.id + "." + kName;
  manifest.expert.name = kName;
  manifest.expert.version = registry::Version{1, 0, 0, {}};
  manifest.expert.description = "one model over the labels of all domains, to compare with";
  manifest.task.domain = manifest.expert.name;
  manifest.task.label_space = std::string(kName) + "/1";
  for (int id = 0; id < pool.labels().size(); ++id)
    manifest.task.labels.push_back(qualified(pool.labels(), id));
  manifest.input.encoder_fingerprint = pool.encoder()->fingerprint();
  manifest.config.update(parse_settings(options.settings));
  manifest.provenance = {{"seed", options.seed}, {"kind", options.kind}};
  for (const data::Dataset& dataset : datasets)
    manifest.provenance["data"][dataset.domain] = dataset.sha256;
  return manifest;
}

Lesson lesson_of(const pipeline::Pool& pool, const std::vector<data::Dataset>& datasets) {
  Lesson lesson;
  for (const data::Dataset& dataset : datasets) {
    const int space = pool.space_of_domain(dataset.domain);
    for (const int id : pipeline::target_ids(dataset, pool.labels(), space))
      lesson.labels.push_back(id);
    for (const std::string_view text : pipeline::text_views(dataset)) lesson.texts.push_back(text);
  }
  lesson.held_out.resize(lesson.texts.size(), false);
  return lesson;
}

[[noreturn]] void stale(const std::string& what) {
  throw Error("E_CKPT_BASELINE", fmt::format("the deep baseline {}", what),
              "train it again with `moecollab train-baseline deep`");
}

}  // namespace

fs::path deep_baseline_folder(const fs::path& registry) { return registry / "baselines" / "deep"; }

Json train_deep_baseline(const TrainBaselineOptions& options, const RunContext& context) {
  const TrainExpertOptions expert = expert_options(options);
  const registry::Package kind = registry::open_package(find_kind(kKind));
  const training::ExpertTrainingOptions training =
      training_options(expert, kind.manifest.training);  // refuses before anything is read
  const std::vector<data::Dataset> datasets = read_datasets(options.data, "train", context.log);
  pipeline::Pool pool(pool_options(options, context));
  pool.require_experts();
  if (pool.encoder() == nullptr) {
    throw Error("E_ENCODER", "the model forks from the encoder, but registry.toml names none",
                "set [encoder] path in registry.toml");
  }
  require_writable(options.registry / registry::kLockFile);
  registry::Manifest manifest = manifest_of(kind.manifest, expert, pool, datasets);
  manifest.provenance["recipe"] = recipe_json(expert, training);
  const Lesson lesson = lesson_of(pool, datasets);
  training::TrainedExpert trained = train_kind(expert, training, pool, kind, manifest, lesson);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  const fs::path folder = deep_baseline_folder(options.registry);
  contribution::place_package(options.registry,
                              write_trained(checkpoint_folder(expert) / "package", expert, manifest,
                                            kind, trained, pool, lesson.texts),
                              folder, context.log);
  trained.checkpoints->finish();
  double seconds = 0;
  for (const training::EpochRecord& epoch : trained.history) seconds += epoch.seconds;
  return {{"baseline", "deep"},           {"file", folder.string()},
          {"texts", lesson.texts.size()}, {"labels", pool.labels().size()},
          {"epochs", trained.epochs},     {"held_out_loss", nullptr},
          {"held_out_accuracy", nullptr}, {"fit_seconds", seconds}};
}

pipeline::InstalledExpert open_deep_baseline(const pipeline::Pool& pool) {
  registry::Package package = registry::open_package(deep_baseline_folder(pool.options().registry));
  const registry::Manifest& manifest = package.manifest;
  if (manifest.input.encoder_fingerprint != pool.encoder()->fingerprint())
    stale("was trained on another encoder");
  std::vector<int> columns;
  for (const std::string& label : manifest.task.labels) {
    int id = 0;
    while (id < pool.labels().size() && qualified(pool.labels(), id) != label) ++id;
    if (id == pool.labels().size())
      stale(fmt::format("has the label {}, which no installed expert knows", escaped(label, 80)));
    columns.push_back(id);
  }
  if (static_cast<int>(columns.size()) != pool.labels().size()) {
    stale(fmt::format("knows {} labels, the installed experts {}", columns.size(),
                      pool.labels().size()));
  }
  auto expert =
      pipeline::instantiate(package, pool.encoder(), pool.options().compute, pool.context());
  return {kName, std::move(package), std::move(expert), {0, std::move(columns), 1.0}, {}};
}

}  // namespace moecollab::engine
