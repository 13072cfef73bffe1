#include "contribution/deep_baseline.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "contribution/trained_package.h"
#include "pipeline/instantiate.h"
#include "pipeline/targets.h"

namespace moecollab::contribution {
namespace {

constexpr const char* kKind = "deep-adapter";
constexpr const char* kName = "multi-task-deep";

std::string qualified(const fusion::LabelUnion& labels, int id) {
  return labels.spaces()[static_cast<size_t>(labels.space_of(id))].name + ":" + labels.label(id);
}

registry::Manifest manifest_of(const ExpertPlan& plan, const pipeline::Pool& pool,
                               const std::vector<data::Dataset>& datasets) {
  registry::Manifest manifest = begin_manifest(plan);
  manifest.expert.version = registry::Version{1, 0, 0, {}};
  manifest.expert.description = "one model over the labels of all domains, to compare with";
  manifest.task.domain = manifest.expert.name;
  manifest.task.label_space = std::string(kName) + "/1";
  for (int id = 0; id < pool.labels().size(); ++id)
    manifest.task.labels.push_back(qualified(pool.labels(), id));
  manifest.input.encoder_fingerprint = pool.encoder()->fingerprint();
  manifest.provenance = {{"seed", plan.asked.seed}, {"kind", plan.asked.kind}};
  for (const data::Dataset& dataset : datasets)
    manifest.provenance["data"][dataset.domain] = dataset.sha256;
  manifest.provenance["recipe"] = to_json(plan.recipe);
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
  lesson.folds.resize(lesson.texts.size(), -1);
  return lesson;
}

[[noreturn]] void stale(const std::string& what) {
  throw Error("E_CKPT_BASELINE", fmt::format("the deep baseline {}", what),
              "train it again with `moecollab train-baseline deep`");
}

}  // namespace

ExpertPlan plan_deep_baseline(ExpertOptions asked) {
  asked.name = kName;
  asked.kind = kKind;
  return plan_expert(asked);
}

DeepBaselineTrained train_deep_baseline(const ExpertPlan& plan,
                                        const std::vector<data::Dataset>& datasets,
                                        pipeline::Pool& pool) {
  const fs::path& registry = pool.options().registry;
  registry::Manifest manifest = manifest_of(plan, pool, datasets);
  const Lesson lesson = lesson_of(pool, datasets);
  training::TrainedExpert trained = train_kind(plan, pool, manifest, lesson);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  const registry::Package package =
      write_trained(registry::checkpoint_folder(registry, kName) / "package", manifest, plan.kind,
                    plan.recipe.weights, trained, pool, lesson.texts);
  const fs::path folder = registry::deep_baseline(registry);
  place_package(registry, package, folder, pool.context().log);
  trained.checkpoints->finish();
  DeepBaselineTrained result{.folder = folder,
                             .texts = static_cast<int64_t>(lesson.texts.size()),
                             .labels = pool.labels().size(),
                             .epochs = trained.epochs,
                             .seconds = 0};
  for (const training::EpochRecord& epoch : trained.history) result.seconds += epoch.seconds;
  return result;
}

pipeline::InstalledExpert open_deep_baseline(const pipeline::Pool& pool) {
  registry::Package package =
      registry::open_package(registry::deep_baseline(pool.options().registry));
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
  auto expert = pipeline::instantiate(package, pool.encoder(), pool.options().compute,
                                      pool.context(), pool.place(package));
  return {kName, std::move(package), std::move(expert), {0, std::move(columns), 1.0}, {}};
}

}  // namespace moecollab::contribution
