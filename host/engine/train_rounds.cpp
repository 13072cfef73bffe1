#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/console.h"
#include "base/error.h"
#include "engine/joint_round.h"
#include "engine/session.h"
#include "engine/training_run.h"
#include "engine/verbs.h"
#include "pipeline/collaboration.h"
#include "pipeline/targets.h"

namespace moecollab::engine {
namespace {

constexpr double kLeastWeight = 0.05;  // before scaling: no text is lost for an expert for good

// How an installed expert was trained, as its manifest's provenance says; nullopt for one that came
// from elsewhere.
std::optional<TrainExpertOptions> training_of(const pipeline::InstalledExpert& expert,
                                              const TrainRoundsOptions& options) {
  const registry::Manifest& manifest = expert.package.manifest;
  if (!manifest.provenance.contains("kind")) return std::nullopt;
  TrainExpertOptions training;
  static_cast<CommonOptions&>(training) = options;
  training.data = options.data;
  training.name = expert.name;
  training.kind = manifest.provenance["kind"].get<std::string>();
  training.domain = manifest.task.domain;
  restore_recipe(manifest, training);
  training.force = true;
  return training;
}

// What the gate sends the expert: g_e(x) of each of its domain's training texts, mean 1.
TextWeights weights_of(size_t row, const gate::Gate& gate, pipeline::Pool& pool,
                       const data::Dataset& dataset) {
  const at::NoGradGuard no_grad;
  encoder::FeatureRequest request;
  request.pooled.insert(gate.features.begin(), gate.features.end());
  const encoder::Features features = pipeline::features_of(pool, pipeline::text_views(dataset),
                                                           request, "routing " + dataset.domain);
  const at::Tensor g = gate::routing_weights(gate.router_logits(gate.input(features)), 0)
                           .select(1, static_cast<int64_t>(row))
                           .clamp_min(kLeastWeight);
  const at::Tensor scaled = (g / g.mean()).contiguous();
  TextWeights weights;
  for (size_t i = 0; i < dataset.examples.size(); ++i) {
    weights[dataset.examples[i].text] = scaled.const_data_ptr<float>()[i];
  }
  return weights;
}

// A copy of what a round changes beside the packages' folders.
class Snapshot {
 public:
  explicit Snapshot(const fs::path& registry) : registry_(registry), copy_("moecollab-round") {
    for (const char* name : kParts) {
      if (fs::exists(registry / name)) {
        fs::copy(registry / name, copy_.path() / name, fs::copy_options::recursive);
      }
    }
    for (const auto& entry :
         fs::recursive_directory_iterator(registry / registry::kExpertsFolder)) {
      if (entry.is_directory()) folders_.push_back(entry.path());
    }
  }
  // Puts the registry back as it was: versions that came since are removed.
  void restore() const {
    for (const auto& expert : fs::directory_iterator(registry_ / registry::kExpertsFolder)) {
      for (const auto& version : fs::directory_iterator(expert.path())) {
        if (std::find(folders_.begin(), folders_.end(), version.path()) == folders_.end()) {
          fs::remove_all(version.path());
        }
      }
    }
    for (const char* name : kParts) {
      fs::remove_all(registry_ / name);
      if (fs::exists(copy_.path() / name)) {
        fs::copy(copy_.path() / name, registry_ / name, fs::copy_options::recursive);
      }
    }
  }

 private:
  static constexpr const char* kParts[] = {"registry.toml", "registry.lock.toml", "gate"};
  fs::path registry_;
  TemporaryFolder copy_;
  std::vector<fs::path> folders_;
};

// One round: every expert whose training is known learns again, weighted by the gate.
Json train_experts(const TrainRoundsOptions& options, const std::vector<data::Dataset>& datasets) {
  struct Plan {
    TrainExpertOptions training;
    TextWeights weights;
  };
  std::vector<Plan> plans;
  {
    pipeline::Pool pool(pool_options(options));
    LoadedGate gate = load_gate(options.registry, std::nullopt, std::nullopt);
    const std::vector<pipeline::InstalledExpert*> experts =
        pipeline::match_experts(gate.file, pool);
    for (size_t row = 0; row < experts.size(); ++row) {
      const std::optional<TrainExpertOptions> training = training_of(*experts[row], options);
      const auto dataset =
          std::find_if(datasets.begin(), datasets.end(),
                       [&](const data::Dataset& d) { return d.domain == experts[row]->domain(); });
      if (!training || dataset == datasets.end()) continue;
      plans.push_back({*training, weights_of(row, gate.file.gate, pool, *dataset)});
    }
  }
  Json changed = Json::object();
  for (const Plan& plan : plans) {
    const Json trained = train_one_expert(plan.training, plan.weights);
    changed[plan.training.name] = {{"version", trained["version"]},
                                   {"epochs", trained["epochs"]},
                                   {"held_out_accuracy", trained["held_out_accuracy"]}};
  }
  if (changed.empty()) {
    throw Error("E_TRAIN_UNSUPPORTED", "no expert of the gate was trained by train-expert here",
                "train one with `moecollab train-expert`, then fit the gate");
  }
  return {{"experts", changed}};
}

}  // namespace

Json run_train_rounds(const TrainRoundsOptions& options) {
  if (options.rounds < 1 || options.rounds > 100) {
    throw Error("E_CONFIG", fmt::format("--rounds is {}, expected 1 to 100", options.rounds));
  }
  prepare(options);
  const std::vector<data::Dataset> datasets = read_datasets(options.data, "train");
  TrainGateOptions gate_options;
  static_cast<CommonOptions&>(gate_options) = options;
  gate_options.data = options.data;
  gate_options.lambda1 = options.lambda1;
  gate_options.lambda2 = options.lambda2;
  Json gate = run_train_gate(gate_options);
  double best = gate["validation_task_loss"].get<double>();
  Json rounds = Json::array({{{"round", 0}, {"held_out_loss", best}, {"kept", true}}});
  int kept = 0;
  const int rounds_at_most = options.joint ? 1 : options.rounds;
  for (int round = 1; round <= rounds_at_most; ++round) {
    const Snapshot before(options.registry);
    Json entry =
        options.joint ? train_jointly(options, datasets) : train_experts(options, datasets);
    entry["round"] = round;
    gate = run_train_gate(gate_options);
    const auto loss = gate["validation_task_loss"].get<double>();
    const bool better = loss < best;
    entry["held_out_loss"] = loss;
    entry["kept"] = better;
    rounds.push_back(entry);
    print_note(fmt::format("round {}: held-out loss {:.4f}, before {:.4f}: {}", round, loss, best,
                           better ? "kept" : "undone, and this is the end"));
    if (!better) {
      before.restore();
      break;
    }
    best = loss;
    kept = round;
  }
  return {{"rounds", rounds}, {"kept", kept}, {"held_out_loss", best}};
}

}  // namespace moecollab::engine
