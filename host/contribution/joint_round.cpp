#include "contribution/joint_round.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "contribution/install.h"
#include "contribution/recipe.h"
#include "contribution/trained_package.h"
#include "data/hold_out.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"
#include "pipeline/instantiate.h"
#include "pipeline/targets.h"
#include "training/held_out_file.h"
#include "training/joint_trainer.h"

namespace moecollab::contribution {
namespace {

// An installed expert, and its successor that learns from the start.
struct Learner {
  const pipeline::InstalledExpert* installed;
  fusion::ExpertLabels labels;  // at the gate's temperature
  ExpertRecipe recipe;          // by which it was trained; its precision is stated
  std::unique_ptr<experts::Expert> expert;
};

std::vector<Learner> make_learners(uint64_t seed, pipeline::Pool& pool,
                                   const pipeline::RoutedGate& routed,
                                   const std::vector<data::Dataset>& datasets) {
  std::vector<Learner> learners;
  for (size_t row = 0; row < routed.experts.size(); ++row) {
    const pipeline::InstalledExpert* expert = routed.experts[row];
    const bool has_data =
        std::any_of(datasets.begin(), datasets.end(),
                    [&](const data::Dataset& d) { return d.domain == expert->domain(); });
    if (!has_data || !can_learn_again(expert->package, pool.options().registry) ||
        !expert->expert->learns_parameters_only())
      continue;
    ExpertRecipe recipe = recipe_from_json(expert->package.manifest.provenance["recipe"]);
    // Packages of earlier versions do not say.
    const Precision precision = recipe.precision.value_or(Precision::kFp32);
    recipe.precision = precision;
    // The gate that they learn with is linear, and so is its mixture.
    fusion::ExpertLabels labels = routed.labels[row];
    labels.pool = fusion::OpinionPool::kLinear;
    learners.push_back({expert, std::move(labels), std::move(recipe),
                        pipeline::instantiate_untrained(
                            expert->package, pool.encoder(), pool.options().compute, pool.context(),
                            pool.place(expert->package), expert->expert->classes(), Json::object(),
                            seed, precision)});
    learners.back().expert->bind(seed);
  }
  if (learners.empty()) {
    throw Error("E_TRAIN_UNSUPPORTED",
                "no expert of the gate has moecollab.train/1 (and no state/1) and was trained by "
                "train-expert here",
                "train one with `moecollab train-expert --kind adapter`, then fit the gate");
  }
  return learners;
}

training::JointDomain joint_domain(pipeline::Pool& pool, const data::Dataset& dataset,
                                   const std::vector<Learner>& learners,
                                   const std::vector<encoder::PooledKey>& gate_features) {
  training::JointDomain domain;
  domain.space = pool.space_of_domain(dataset.domain);
  encoder::FeatureRequest request;
  request.pooled.insert(gate_features.begin(), gate_features.end());
  for (const Learner& learner : learners) {
    if (learner.labels.space != domain.space) continue;
    encoder::FeatureRequest own = learner.expert->request();
    own.bf16_states = has_bf16_states(learner.recipe);
    request.merge(own);
  }
  domain.features = pipeline::features_of(pool, pipeline::text_views(dataset), request,
                                          "encoding " + dataset.domain);
  std::vector<int64_t> targets;
  for (const int id : pipeline::target_ids(dataset, pool.labels(), domain.space))
    targets.push_back(id);
  domain.targets = encoder::index_tensor(targets);
  const std::vector<bool> held_out = data::held_out(dataset);
  for (size_t i = 0; i < held_out.size(); ++i)
    (held_out[i] ? domain.judged : domain.fitted).push_back(static_cast<int64_t>(i));
  return domain;
}

// The learner as the next version of its expert, with its answers on the held-out texts of all
// domains of its label space.
registry::Version install_learner(pipeline::Pool& pool, Learner& learner,
                                  const std::vector<const training::JointDomain*>& domains,
                                  const std::vector<at::Tensor>& logits, int32_t epochs) {
  const registry::Package& old = learner.installed->package;
  registry::Manifest manifest = old.manifest;
  ++manifest.expert.version.patch;
  manifest.provenance["joint_epochs"] = epochs;
  manifest.provenance["recipe"]["precision"] = name(*learner.recipe.precision);
  training::HeldOutLogits held_out;
  std::vector<std::string_view> texts;
  for (const training::JointDomain* domain : domains) {
    for (const int64_t row : domain->judged)
      texts.push_back(domain->features.texts[static_cast<size_t>(row)]);
  }
  for (const std::string_view text : texts) held_out.texts.push_back(sha256(text));
  held_out.logits = at::cat(logits);
  if (const auto before = training::read_held_out(
          registry::held_out_file(pool.options().registry, old.manifest_sha256),
          held_out.logits.size(1))) {
    held_out.seen = before->seen;
  }
  training::TrainedExpert trained;
  trained.expert = std::move(learner.expert);
  trained.epochs = epochs;
  const TemporaryFolder staging("moecollab-package");
  const registry::Package package =
      write_trained(staging.path(), manifest, old, learner.recipe.weights, trained, pool, texts);
  const fs::path& registry = pool.options().registry;
  training::write_held_out(registry::held_out_file(registry, package.manifest_sha256), held_out);
  install(pool.options(), package, learner.installed->name, Origin::kTrainedHere);
  return manifest.expert.version;
}

// The texts of each dataset that an expert learns jointly; others are left out (said).
std::vector<training::JointDomain> joint_domains(
    pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
    const std::vector<Learner>& learners, const std::vector<encoder::PooledKey>& gate_features) {
  std::vector<training::JointDomain> domains;
  for (const data::Dataset& dataset : datasets) {
    const int space = pool.space_of_domain(dataset.domain);
    if (std::none_of(learners.begin(), learners.end(),
                     [&](const Learner& l) { return l.labels.space == space; })) {
      pool.context().log.note(
          fmt::format("domain {} has no expert that learns jointly: left out", dataset.domain));
      continue;
    }
    domains.push_back(joint_domain(pool, dataset, learners, gate_features));
  }
  return domains;
}

}  // namespace

JointRound train_jointly(const AlternationOptions& options,
                         const std::vector<data::Dataset>& datasets,
                         const pipeline::PoolOptions& open, RegistrySnapshot& before) {
  const RunContext& context = open.context;
  training::JointOptions joint;
  joint.epochs = options.epochs;
  joint.seed = options.seed;
  pipeline::Pool pool(open);
  const pipeline::GateFile gate = pipeline::read_gate(pool);
  joint.objective = gate.objective;
  std::vector<Learner> learners =
      make_learners(options.seed, pool, pipeline::open_gate(gate, pool), datasets);
  const std::vector<training::JointDomain> domains =
      joint_domains(pool, datasets, learners, gate.gate.features);
  std::vector<training::JointExpert> joint_experts;
  for (Learner& learner : learners)
    joint_experts.push_back({learner.expert.get(), learner.labels, learner.recipe.lr});
  const training::JointFit fit = training::fit_jointly(joint_experts, domains, gate.gate.features,
                                                       pool.labels(), joint, context);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);

  JointRound round{{fit.epochs, fit.history}, {}};
  for (size_t e = 0; e < learners.size(); ++e) {
    std::vector<const training::JointDomain*> own;
    for (const training::JointDomain& domain : domains) {
      if (domain.space == learners[e].labels.space && !domain.judged.empty())
        own.push_back(&domain);
    }
    const std::string& name = learners[e].installed->name;
    before.will_change(name);
    const registry::Version version =
        install_learner(pool, learners[e], own, fit.held_out_logits[e], fit.epochs);
    round.experts.push_back({name, version.text(), std::nullopt});
  }
  return round;
}

}  // namespace moecollab::contribution
