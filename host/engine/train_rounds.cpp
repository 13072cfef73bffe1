#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/console.h"
#include "base/error.h"
#include "contribution/install.h"
#include "engine/joint_round.h"
#include "engine/session.h"
#include "engine/training_run.h"
#include "engine/verbs.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"
#include "pipeline/targets.h"
#include "registry/lock.h"
#include "registry/resolution.h"

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
    for (const fs::path& file : files(registry_)) {
      fs::create_directories((copy_.path() / file).parent_path());
      fs::copy_file(registry_ / file, copy_.path() / file);
    }
  }
  // Puts it back, and removes the versions that the round installed ({name: {version, …}, …}).
  void restore(const Json& installed) const {
    const FileLock lock = contribution::lock_registry(registry_);
    for (const auto& [name, expert] : installed.items()) {
      const auto version = registry::Version::parse(expert["version"].get<std::string>());
      fs::remove_all(registry::version_folder(registry_, name, version));
    }
    for (const fs::path& file : files(registry_)) {
      if (!fs::exists(copy_.path() / file)) fs::remove(registry_ / file);
    }
    for (const fs::path& file : files(copy_.path()))
      write_file_atomic(registry_ / file, read_file(copy_.path() / file, "E_REG_IO"));
  }

 private:
  // registry.lock.toml and the gate's files, relative to the folder.
  static std::vector<fs::path> files(const fs::path& folder) {
    std::vector<fs::path> found;
    if (fs::exists(folder / registry::kLockFile)) found.push_back(registry::kLockFile);
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(pipeline::gate_folder(folder), none))
      found.push_back(fs::relative(entry.path(), folder));
    return found;
  }

  fs::path registry_;
  TemporaryFolder copy_;
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
      before.restore(entry["experts"]);
      break;
    }
    best = loss;
    kept = round;
  }
  return {{"rounds", rounds}, {"kept", kept}, {"held_out_loss", best}};
}

}  // namespace moecollab::engine
