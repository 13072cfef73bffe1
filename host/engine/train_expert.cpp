#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "data/hold_out.h"
#include "engine/session.h"
#include "engine/stock_plugins.h"
#include "engine/training_run.h"
#include "engine/verbs.h"
#include "pipeline/targets.h"
#include "registry/names.h"
#include "registry/resolution.h"
#include "registry/trust.h"
#include "training/checkpoint.h"
#include "training/held_out_file.h"

namespace moecollab::engine {
namespace {

// In the checkpoints' folder, from the end of training to the end of the installation.
constexpr const char* kPackage = "package";
constexpr const char* kResult = "result.json";

// The domain's label space and the order of its labels: the registry's or an installed expert's
// where there is one, else <domain>/1 with the labels sorted.
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
registry::Version version_to_install(const TrainExpertOptions& options) {
  const std::vector<registry::Version> there =
      registry::installed_versions(options.registry, options.name);
  if (there.empty()) return registry::Version{1, 0, 0, {}};
  const registry::Version& highest = there.back();
  if (!options.force) {
    throw Error("E_REG_EXISTS",
                fmt::format("expert {} {} is installed already", options.name, highest.text()),
                "use --force to train and install its next version");
  }
  return registry::Version{highest.major, highest.minor, highest.patch + 1, {}};
}

// The kind's manifest, completed for this expert but for its version.
registry::Manifest complete_manifest(const registry::Manifest& kind,
                                     const TrainExpertOptions& options,
                                     const fusion::LabelSpace& space, const pipeline::Pool& pool,
                                     const data::Dataset& dataset, const Json& config) {
  registry::Manifest manifest = kind;
  manifest.expert.id = kind.expert.id + "." + options.name;
  manifest.expert.name = options.name;
  manifest.training = kept_training(kind.training);
  manifest.expert.description =
      fmt::format("{} trained on domain {}", kind.expert.name, options.domain);
  manifest.task.domain = options.domain;
  manifest.task.label_space = space.name;
  manifest.task.labels = space.labels;
  if (!options.layers.empty()) manifest.input.layers = options.layers;
  if (!options.pooling.empty()) manifest.input.pooling = options.pooling;
  const bool reads_encoder = std::any_of(kind.input.needs.begin(), kind.input.needs.end(),
                                         [](const auto& n) { return n != "text"; });
  manifest.input.encoder_fingerprint =
      reads_encoder && pool.encoder() != nullptr ? pool.encoder()->fingerprint() : "";
  manifest.config.update(config);
  manifest.provenance = {{"data_sha256", dataset.sha256},
                         {"texts", dataset.examples.size()},
                         {"seed", options.seed},
                         {"kind", options.kind}};
  return manifest;
}

training::HeldOutLogits held_out_logits(const data::Dataset& dataset,
                                        const training::TrainedExpert& trained) {
  training::HeldOutLogits logits;
  for (const int64_t row : trained.held_out_rows)
    logits.texts.push_back(sha256(dataset.examples[static_cast<size_t>(row)].text));
  logits.logits = trained.held_out_logits;
  return logits;
}

void check_options(const TrainExpertOptions& options) {
  if (!registry::is_name(options.name)) {
    throw Error("E_CONFIG", fmt::format("the name {} is not made of 1 to 64 of a-z, 0-9, _ and -",
                                        escaped(options.name, 80)));
  }
  if (options.class_weights != "none" && options.class_weights != "balanced") {
    throw Error("E_CONFIG", fmt::format("--class-weights is {}, expected none or balanced",
                                        escaped(options.class_weights, 40)));
  }
  if (options.weights != "f32" && options.weights != "bf16") {
    throw Error("E_CONFIG",
                fmt::format("--weights is {}, expected f32 or bf16", escaped(options.weights, 40)));
  }
  if (!options.pooling.empty() && !encoder::parse_pooling(options.pooling)) {
    throw Error("E_CONFIG",
                fmt::format("--pooling is {}, expected mean or cls", escaped(options.pooling, 40)));
  }
}

// Of balanced labels and of given texts together; empty: all 1.
std::vector<float> row_weights(const data::Dataset& dataset, const std::vector<int32_t>& labels,
                               size_t classes, const TrainExpertOptions& options,
                               const TextWeights& weights) {
  std::vector<float> result;
  if (options.class_weights == "balanced") result = balanced_weights(labels, classes);
  if (weights.empty()) return result;
  result.resize(labels.size(), 1.0F);
  for (size_t i = 0; i < result.size(); ++i) {
    const auto it = weights.find(dataset.examples[i].text);
    if (it != weights.end()) result[i] *= it->second;
  }
  return result;
}

void require_two_labels(const data::Dataset& dataset) {
  if (data::labels_of(dataset).size() >= 2) return;
  throw Error(
      "E_DATA",
      fmt::format("{}: all texts have the label \"{}\"; a classifier needs two or more",
                  escaped(dataset.file.string()), escaped(dataset.examples.front().label, 80)));
}

data::Dataset read_training_file(const TrainExpertOptions& options, Log log) {
  std::vector<std::string> found;
  for (const data::DataFile& file : data::locate(options.data, "train", log)) {
    if (file.domain == options.domain)
      return data::read_dataset(file.domain, file.path, options.data.format);
    found.push_back(file.domain);
  }
  throw Error("E_DATA",
              fmt::format("there is no training file for domain {}{}", escaped(options.domain, 80),
                          did_you_mean(options.domain, found)),
              fmt::format("domains with one: {}", join(found, ", ")));
}

// What the verb says about a package: the figures of the epoch that was chosen, and all epochs.
Json result_json(const TrainExpertOptions& options, const registry::Package& package,
                 const training::TrainedExpert& trained) {
  Json best = {{"held_out_accuracy", nullptr}, {"held_out_loss", nullptr}};
  for (const training::EpochRecord& e : trained.history) {
    if (e.epoch == trained.epochs && e.phase == "choose") best = training::to_json(e);
  }
  return {{"name", options.name},
          {"version", package.manifest.expert.version.text()},
          {"kind", options.kind},
          {"domain", options.domain},
          {"label_space", package.manifest.task.label_space},
          {"sha256", package.manifest_sha256},
          {"epochs", trained.epochs},
          {"held_out", trained.held_out_rows.size()},
          {"held_out_accuracy", best["held_out_accuracy"]},
          {"held_out_loss", best["held_out_loss"]},
          {"history", history_json(trained.history)}};
}

// The last steps of a run, of which each may be done twice.
void finish(const TrainExpertOptions& options, const registry::Package& package,
            training::Checkpoints& checkpoints, const RunContext& context) {
  contribution::install(options.registry, package, options.name, context.log);
  refresh_lock(options, context);
  checkpoints.finish();
}

// Whatever the order of their keys.
bool equal(const Json& a, const Json& b) { return nlohmann::json(a) == nlohmann::json(b); }

// The result of a run that was killed when its package was written already, its last steps now
// done; nullopt if --resume has none to go on with. `wanted`: the manifest of this run's expert.
std::optional<Json> finished_before(const TrainExpertOptions& options,
                                    const registry::Manifest& wanted, const RunContext& context) {
  const fs::path folder = checkpoint_folder(options);
  if (!options.resume || !fs::exists(folder / kResult)) return std::nullopt;
  const registry::Package package = registry::open_package(folder / kPackage);
  const registry::Manifest& there_is = package.manifest;
  const std::string library = registry::library_file(wanted);
  if (!equal(there_is.provenance, wanted.provenance) || !equal(there_is.config, wanted.config) ||
      there_is.task.domain != wanted.task.domain || there_is.task.labels != wanted.task.labels ||
      there_is.files.at(library) != wanted.files.at(library)) {
    return std::nullopt;
  }
  const fs::path target =
      registry::version_folder(options.registry, options.name, package.manifest.expert.version);
  if (fs::exists(target) &&
      registry::open_package(target).manifest_sha256 != package.manifest_sha256) {
    return std::nullopt;  // meanwhile somebody else has the version
  }
  const Json result = parse_json(read_file(folder / kResult, "E_CKPT_READ"));
  context.log.note(
      fmt::format("{} was trained already: going on with its installation", options.name));
  training::Checkpoints checkpoints(folder, {}, /*resume=*/true);
  finish(options, package, checkpoints, context);
  return result;
}

Lesson lesson_of(const data::Dataset& dataset, const fusion::LabelSpace& space,
                 const TrainExpertOptions& options, const TextWeights& weights) {
  fusion::LabelUnion labels;
  labels.add(space, /*partial=*/false);
  const std::vector<int> ids = pipeline::target_ids(dataset, labels, 0);
  Lesson lesson{
      pipeline::text_views(dataset), {ids.begin(), ids.end()}, data::held_out(dataset), {}};
  lesson.weights = row_weights(dataset, lesson.labels, space.labels.size(), options, weights);
  return lesson;
}

}  // namespace

Json run_train_expert(const TrainExpertOptions& options, const RunContext& context) {
  return train_one_expert(options, context, {});
}

Json train_one_expert(const TrainExpertOptions& options, const RunContext& context,
                      const TextWeights& weights) {
  prepare(options);
  check_options(options);
  const Json config = parse_settings(options.settings);
  const registry::PackageFolder folder(find_kind(options.kind));
  const registry::Package kind = registry::open_package(folder.path());
  const training::ExpertTrainingOptions training =
      training_options(options, kind.manifest.training);  // refuses before anything is read
  const data::Dataset dataset = read_training_file(options, context.log);
  require_two_labels(dataset);
  contribution::ensure_registry(options.registry, new_registry_encoder(options), context.log);
  require_writable(options.registry / registry::kRegistryFile);

  pipeline::PoolOptions open = pool_options(options, context);
  open.tolerate_refused = true;  // a broken neighbour is no reason not to train
  pipeline::Pool pool(open);
  const fusion::LabelSpace space = label_space(pool, dataset);
  registry::Manifest manifest =
      complete_manifest(kind.manifest, options, space, pool, dataset, config);
  manifest.provenance["recipe"] = recipe_json(options, training);
  if (!weights.empty()) manifest.provenance["weighted"] = true;
  if (std::optional<Json> result = finished_before(options, manifest, context))
    return *std::move(result);
  manifest.expert.version = version_to_install(options);
  const Lesson lesson = lesson_of(dataset, space, options, weights);
  training::TrainedExpert trained = train_kind(options, training, pool, kind, manifest, lesson);
  data::require_unchanged(dataset);
  fs::remove(checkpoint_folder(options) / kResult);  // of a package that is now replaced
  const registry::Package package = write_trained(checkpoint_folder(options) / kPackage, options,
                                                  manifest, kind, trained, pool, lesson.texts);
  if (trained.held_out_logits.defined()) {
    training::write_held_out(training::held_out_path(options.registry, package.manifest_sha256),
                             held_out_logits(dataset, trained));
  }
  Json result = result_json(options, package, trained);
  write_file_atomic(checkpoint_folder(options) / kResult, to_text(result));
  finish(options, package, *trained.checkpoints, context);
  return result;
}

}  // namespace moecollab::engine
