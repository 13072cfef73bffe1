#include <fmt/format.h>

#include <algorithm>

#include "base/console.h"
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
#include "training/checkpoint.h"
#include "training/held_out_file.h"

namespace moecollab::engine {
namespace {

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

registry::Version parse_goal(const std::string& goal, const TrainExpertOptions& options) {
  try {
    return registry::Version::parse(goal);
  } catch (const std::invalid_argument& error) {
    throw Error("E_CKPT_GOAL",
                fmt::format("{} does not name the version to install: {}",
                            escaped((checkpoint_folder(options) / "goal").string()), error.what()),
                "start anew without --resume");
  }
}

// The version to install: that of the unfinished run that --resume goes on with (which may have
// been killed behind its installation), else one that is not there yet.
registry::Version version_to_install(const TrainExpertOptions& options) {
  if (options.resume) {
    const auto goal = training::Checkpoints::goal(checkpoint_folder(options));
    if (goal) return parse_goal(*goal, options);
  }
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

// The kind's manifest, completed for this expert.
registry::Manifest complete_manifest(const registry::Manifest& kind,
                                     const TrainExpertOptions& options,
                                     const fusion::LabelSpace& space, const pipeline::Pool& pool,
                                     const data::Dataset& dataset, const Json& config) {
  registry::Manifest manifest = kind;
  manifest.expert.id = kind.expert.id + "." + options.name;
  manifest.expert.name = options.name;
  manifest.training = {};
  manifest.expert.version = version_to_install(options);
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

data::Dataset read_training_file(const TrainExpertOptions& options) {
  std::vector<std::string> found;
  for (const data::DataFile& file : data::locate(options.data, "train")) {
    if (file.domain == options.domain)
      return data::read_dataset(file.domain, file.path, options.data.format);
    found.push_back(file.domain);
  }
  throw Error("E_DATA",
              fmt::format("there is no training file for domain {}{}", escaped(options.domain, 80),
                          did_you_mean(options.domain, found)),
              fmt::format("domains with one: {}", join(found, ", ")));
}

// Package, held-out logits and lock entry of what was trained; the package's digest.
std::string install_trained(const TrainExpertOptions& options, const registry::Package& package,
                            const data::Dataset& dataset, const training::TrainedExpert& trained) {
  if (trained.held_out_logits.defined()) {
    training::write_held_out(training::held_out_path(options.registry, package.manifest_sha256),
                             held_out_logits(dataset, trained));
  }
  contribution::install(options.registry, package, options.name);
  refresh_lock(options);
  return package.manifest_sha256;
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

Json run_train_expert(const TrainExpertOptions& options) { return train_one_expert(options, {}); }

Json train_one_expert(const TrainExpertOptions& options, const TextWeights& weights) {
  prepare(options);
  check_options(options);
  const Json config = parse_settings(options.settings);
  const registry::Package kind = registry::open_package(find_kind(options.kind));
  training_options(options, kind.manifest.training);  // refuses before anything is read
  const data::Dataset dataset = read_training_file(options);
  require_two_labels(dataset);
  contribution::ensure_registry(options.registry, new_registry_encoder(options));
  require_writable(options.registry / registry::kRegistryFile);

  pipeline::PoolOptions open = pool_options(options);
  open.tolerate_refused = true;  // a broken neighbour is no reason not to train
  pipeline::Pool pool(open);
  const fusion::LabelSpace space = label_space(pool, dataset);
  registry::Manifest manifest =
      complete_manifest(kind.manifest, options, space, pool, dataset, config);
  const Lesson lesson = lesson_of(dataset, space, options, weights);
  training::TrainedExpert trained = train_kind(options, pool, kind, manifest, lesson);
  data::require_unchanged(dataset);
  const TemporaryFolder staging("moecollab-package");
  const std::string sha256 = install_trained(
      options, write_trained(staging.path(), options, manifest, kind, trained, pool, lesson.texts),
      dataset, trained);
  forget_checkpoints(options);

  Json best = {{"held_out_accuracy", nullptr}, {"held_out_loss", nullptr}};
  for (const training::EpochRecord& e : trained.history) {
    if (e.epoch == trained.epochs && e.phase == "choose") best = training::to_json(e);
  }
  return {{"name", options.name},
          {"version", manifest.expert.version.text()},
          {"kind", options.kind},
          {"domain", options.domain},
          {"label_space", space.name},
          {"sha256", sha256},
          {"epochs", trained.epochs},
          {"held_out", trained.held_out_rows.size()},
          {"held_out_accuracy", best["held_out_accuracy"]},
          {"held_out_loss", best["held_out_loss"]},
          {"history", history_json(trained.history)}};
}

}  // namespace moecollab::engine
