#include "contribution/trained_expert.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "contribution/distillation.h"
#include "contribution/install.h"
#include "contribution/trained_package.h"
#include "registry/resolution.h"
#include "training/checkpoint.h"
#include "training/held_out_file.h"

namespace moecollab::contribution {
namespace {

// In the checkpoints' folder, from the end of training to the end of the installation.
constexpr const char* kPackage = "package";
constexpr const char* kResult = "result.json";

// The domain's label space and the order of its labels: the registry's or an installed expert's
// if there is one, else <domain>/1 with the labels sorted.
fusion::LabelSpace label_space(const pipeline::Pool& pool, const data::Dataset& dataset) {
  const bool known = pool.registry().domains.contains(dataset.domain) ||
                     std::any_of(pool.candidates().begin(), pool.candidates().end(),
                                 [&](const registry::Candidate& c) {
                                   return c.state == registry::State::kReady &&
                                          c.package->manifest.task.domain == dataset.domain;
                                 });
  if (known)
    return pool.labels().spaces()[static_cast<size_t>(pool.space_of_domain(dataset.domain))];
  return {dataset.domain + "/1", data::labels_of(dataset)};
}

// One that is not there yet.
registry::Version version_to_install(const fs::path& registry, const ExpertOptions& asked) {
  const std::vector<registry::Version> there = registry::installed_versions(registry, asked.name);
  if (there.empty()) return registry::Version{1, 0, 0, {}};
  const registry::Version& highest = there.back();
  if (!asked.force) {
    throw Error("E_REG_EXISTS",
                fmt::format("expert {} {} is installed already", asked.name, highest.text()),
                "use --force to train and install its next version");
  }
  return registry::Version{highest.major, highest.minor, highest.patch + 1, {}};
}

// The kind's manifest, completed for this expert but for its version.
registry::Manifest complete_manifest(const ExpertPlan& plan, const fusion::LabelSpace& space,
                                     const pipeline::Pool& pool, const data::Dataset& dataset) {
  const ExpertOptions& asked = plan.asked;
  registry::Manifest manifest = begin_manifest(plan);
  manifest.expert.description =
      fmt::format("{} trained on domain {}", plan.kind.manifest.expert.name, asked.domain);
  manifest.task.domain = asked.domain;
  manifest.task.label_space = space.name;
  manifest.task.labels = space.labels;
  if (!plan.recipe.layers.empty()) manifest.input.layers = plan.recipe.layers;
  if (plan.recipe.pooling) manifest.input.pooling = encoder::name(*plan.recipe.pooling);
  const auto& needs = plan.kind.manifest.input.needs;
  const bool reads_encoder =
      std::any_of(needs.begin(), needs.end(), [](const auto& n) { return n != "text"; });
  manifest.input.encoder_fingerprint =
      reads_encoder && pool.encoder() != nullptr ? pool.encoder()->fingerprint() : "";
  manifest.provenance = {{"data_sha256", dataset.sha256},
                         {"texts", dataset.examples.size()},
                         {"seed", asked.seed},
                         {"kind", asked.kind},
                         {"recipe", to_json(plan.recipe)}};
  return manifest;
}

training::HeldOutLogits held_out_logits(const data::Dataset& dataset,
                                        const training::TrainedExpert& trained) {
  training::HeldOutLogits logits;
  for (const int64_t row : trained.held_out_rows)
    logits.texts.push_back(sha256(dataset.examples[static_cast<size_t>(row)].text));
  logits.logits = trained.held_out_logits;
  for (const data::Example& example : dataset.examples) logits.seen.push_back(sha256(example.text));
  return logits;
}

void warn_of_empty_folds(int32_t folds, const Lesson& lesson, Log log) {
  std::set<int32_t> filled(lesson.folds.begin(), lesson.folds.end());
  filled.erase(-1);
  const int64_t empty = folds - static_cast<int64_t>(filled.size());
  if (folds > 1 && empty > 0)
    log.warning(fmt::format("{} of {} folds hold no text, and are left out", empty, folds));
}

// Sets the lesson's targets.
Distillation learn_from_teachers(const ExpertPlan& plan, pipeline::Pool& pool,
                                 const fusion::LabelSpace& space, Lesson& lesson) {
  Distillation distillation = distil(pool, plan.asked.distill, lesson, space);
  lesson.targets = distillation.targets;
  const auto texts = static_cast<int64_t>(lesson.texts.size());
  if (distillation.texts < texts) {
    pool.context().log.warning(
        fmt::format(
            "the teachers have held-out logits for {} of the {} texts; the others are learnt "
            "by their label alone",
            distillation.texts, texts),
        "teachers that were trained with --folds 5 have them for all");
  }
  return distillation;
}

ExpertTrained result_of(const ExpertPlan& plan, const registry::Package& package,
                        const training::TrainedExpert& trained) {
  ExpertTrained result{
      .name = plan.asked.name,
      .version = package.manifest.expert.version.text(),
      .kind = plan.asked.kind,
      .domain = plan.asked.domain,
      .label_space = package.manifest.task.label_space,
      .sha256 = package.manifest_sha256,
      .epochs = trained.epochs,
      .held_out = trained.held_out,
      .folds = plan.recipe.folds,
      .teachers = plan.asked.distill,
      .cross_fitted = static_cast<int64_t>(trained.held_out_rows.size()) - trained.held_out,
      .held_out_accuracy = {},
      .held_out_loss = {},
      .history = trained.history,
  };
  for (const training::EpochRecord& e : trained.history) {
    if (e.epoch != trained.epochs || e.phase != "choose") continue;
    result.held_out_accuracy = e.held_out_accuracy;
    result.held_out_loss = e.held_out_loss;
  }
  return result;
}

// The last steps of a run, of which each may be done twice.
void finish(const pipeline::PoolOptions& open, const registry::Package& package,
            const std::string& name, training::Checkpoints& checkpoints) {
  install(open, package, name, Origin::kTrainedHere);
  checkpoints.finish();
}

// Whatever the order of their keys.
bool equal(const Json& a, const Json& b) { return nlohmann::json(a) == nlohmann::json(b); }

// The result of a run that was killed when its package was written already, its last steps now
// done; nullopt if there is none to continue from. `wanted`: the manifest of this run's expert.
std::optional<ExpertTrained> finished_before(const ExpertPlan& plan,
                                             const registry::Manifest& wanted,
                                             const pipeline::PoolOptions& open) {
  const std::string& name = plan.asked.name;
  const fs::path folder = registry::checkpoint_folder(open.registry, name);
  if (!plan.asked.checkpoints.resume || !fs::exists(folder / kResult)) return std::nullopt;
  const registry::Package package = registry::open_package(folder / kPackage);
  const registry::Manifest& there_is = package.manifest;
  const std::string library = registry::library_file(wanted);
  if (!equal(there_is.provenance, wanted.provenance) || !equal(there_is.config, wanted.config) ||
      there_is.task.domain != wanted.task.domain || there_is.task.labels != wanted.task.labels ||
      there_is.files.at(library) != wanted.files.at(library)) {
    return std::nullopt;
  }
  const fs::path target =
      registry::version_folder(open.registry, name, package.manifest.expert.version);
  if (fs::exists(target) &&
      registry::open_package(target).manifest_sha256 != package.manifest_sha256) {
    return std::nullopt;  // meanwhile somebody else has the version
  }
  const Json result = parse_json(read_file(folder / kResult, "E_CKPT_READ"));
  open.context.log.note(
      fmt::format("{} was trained already: continuing with its installation", name));
  training::Checkpoints checkpoints(folder, {}, /*resume=*/true);
  finish(open, package, name, checkpoints);
  return expert_trained_from_json(result);
}

// finished_before(), which the first rank finds out for all; on the others the result says nothing.
std::optional<ExpertTrained> finished_before_on_ranks(const ExpertPlan& plan,
                                                      const registry::Manifest& wanted,
                                                      const pipeline::PoolOptions& open) {
  std::optional<ExpertTrained> found;
  Ranks* const ranks = open.context.ranks;
  if (leads(ranks)) found = finished_before(plan, wanted, open);
  if (ranks == nullptr || !plan.asked.checkpoints.resume) return found;
  const bool finished = !ranks->exchange("was it trained", found ? "yes" : "").front().empty();
  return finished && !found ? ExpertTrained{} : found;
}

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

std::optional<double> optional_number(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

}  // namespace

Json to_json(const ExpertTrained& trained) {
  return {{"name", trained.name},
          {"version", trained.version},
          {"kind", trained.kind},
          {"domain", trained.domain},
          {"label_space", trained.label_space},
          {"sha256", trained.sha256},
          {"epochs", trained.epochs},
          {"held_out", trained.held_out},
          {"folds", trained.folds},
          {"cross_fitted", trained.cross_fitted},
          {"teachers", trained.teachers},
          {"held_out_accuracy", or_null(trained.held_out_accuracy)},
          {"held_out_loss", or_null(trained.held_out_loss)},
          {"history", to_json(trained.history)}};
}

ExpertTrained expert_trained_from_json(const Json& json) {
  return {.name = json["name"].get<std::string>(),
          .version = json["version"].get<std::string>(),
          .kind = json["kind"].get<std::string>(),
          .domain = json["domain"].get<std::string>(),
          .label_space = json["label_space"].get<std::string>(),
          .sha256 = json["sha256"].get<std::string>(),
          .epochs = json["epochs"].get<int32_t>(),
          .held_out = json["held_out"].get<int64_t>(),
          .folds = json.value("folds", 1),
          .teachers = json.value("teachers", std::vector<std::string>()),
          .cross_fitted = json.value("cross_fitted", int64_t{0}),
          .held_out_accuracy = optional_number(json["held_out_accuracy"]),
          .held_out_loss = optional_number(json["held_out_loss"]),
          .history = training::history_from_json(json["history"])};
}

ExpertTrained train_expert(const ExpertPlan& plan, const data::Dataset& dataset,
                           pipeline::Pool& pool, const TextWeights& weights) {
  const pipeline::PoolOptions& open = pool.options();
  const fusion::LabelSpace space = label_space(pool, dataset);
  registry::Manifest manifest = complete_manifest(plan, space, pool, dataset);
  if (!weights.empty()) manifest.provenance["weighted"] = true;
  Lesson lesson = lesson_of(dataset, space, plan.recipe.folds, plan.recipe.class_weights, weights);
  if (!plan.asked.distill.empty())
    manifest.provenance["distilled"] = to_json(learn_from_teachers(plan, pool, space, lesson));
  if (std::optional<ExpertTrained> result = finished_before_on_ranks(plan, manifest, open))
    return *std::move(result);
  manifest.expert.version = version_to_install(open.registry, plan.asked);
  warn_of_empty_folds(plan.recipe.folds, lesson, open.context.log);
  training::TrainedExpert trained = train_kind(plan, pool, manifest, lesson);
  data::require_unchanged(dataset);
  if (!leads(open.context.ranks)) return {};
  pool.work_alone();
  const fs::path folder = registry::checkpoint_folder(open.registry, plan.asked.name);
  fs::remove(folder / kResult);  // of a package that is now replaced
  const registry::Package package = write_trained(folder / kPackage, manifest, plan.kind,
                                                  plan.recipe.weights, trained, pool, lesson.texts);
  if (trained.held_out_logits.defined()) {
    training::write_held_out(registry::held_out_file(open.registry, package.manifest_sha256),
                             held_out_logits(dataset, trained));
  }
  ExpertTrained result = result_of(plan, package, trained);
  write_file_atomic(folder / kResult, to_text(to_json(result)));
  finish(open, package, plan.asked.name, *trained.checkpoints);
  return result;
}

}  // namespace moecollab::contribution
