#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "engine/joint_round.h"
#include "engine/session.h"
#include "engine/training_run.h"
#include "engine/verbs.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"
#include "pipeline/targets.h"
#include "registry/lock.h"
#include "training/gate_fit_record.h"

namespace moecollab::engine {
namespace {

constexpr double kLeastWeight = 0.05;  // before scaling: no text is lost for an expert for good

// How an installed expert was trained; nullopt for one that came from elsewhere.
std::optional<TrainExpertOptions> training_of(const pipeline::InstalledExpert& expert,
                                              const TrainRoundsOptions& options) {
  const registry::Manifest& manifest = expert.package.manifest;
  if (!was_trained_here(expert, options.registry)) return std::nullopt;
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

// What a round changes: a copy of the gate's files, the lock and the experts' histories, and which
// versions there are.
class Snapshot {
 public:
  Snapshot(const fs::path& registry, Log log)
      : registry_(registry), log_(log), copy_("moecollab-round") {
    for (const fs::path& file : files(registry_)) keep(file);
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(registry_ / kHistory, none))
      keep(fs::path(kHistory) / entry.path().filename());
    for (const auto& expert : fs::directory_iterator(registry_ / kExperts, none)) {
      for (const auto& version : fs::directory_iterator(expert.path(), none))
        versions_.insert(version.path());
    }
  }
  // Puts it back. `experts`: {name: …} of those whose training has begun.
  void restore(const Json& experts) const {
    const FileLock lock = contribution::lock_registry(registry_, log_);
    for (const fs::path& file : files(registry_)) {
      if (!fs::exists(copy_.path() / file)) fs::remove(registry_ / file);
    }
    for (const fs::path& file : files(copy_.path())) put_back(file);
    for (const auto& [name, expert] : experts.items()) {
      const fs::path history = fs::path(kHistory) / (name + ".jsonl");
      if (fs::exists(copy_.path() / history)) put_back(history);
      std::error_code error;
      std::vector<fs::path> newer;
      for (const auto& version : fs::directory_iterator(registry_ / kExperts / name, error)) {
        if (!versions_.contains(version.path())) newer.push_back(version.path());
      }
      for (const fs::path& version : newer) {
        fs::remove_all(version, error);
        if (error)
          log_.warning(
              fmt::format("{} cannot be removed: {}", escaped(version.string()), error.message()));
      }
    }
  }

 private:
  static constexpr const char* kHistory = "history";
  static constexpr const char* kExperts = "experts";

  void keep(const fs::path& file) const {
    fs::create_directories((copy_.path() / file).parent_path());
    fs::copy_file(registry_ / file, copy_.path() / file);
  }
  void put_back(const fs::path& file) const {
    write_file_atomic(registry_ / file, read_file(copy_.path() / file, "E_REG_IO"));
  }
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
  Log log_;
  TemporaryFolder copy_;
  std::set<fs::path> versions_;
};

// Every expert whose training is known learns again, weighted by the gate. `changed` has its name
// from the moment that it begins.
void train_experts(const TrainRoundsOptions& options, const std::vector<data::Dataset>& datasets,
                   const RunContext& context, Json& changed) {
  struct Plan {
    TrainExpertOptions training;
    TextWeights weights;
  };
  std::vector<Plan> plans;
  {
    pipeline::Pool pool(pool_options(options, context));
    const pipeline::RoutedGate routed = pipeline::open_gate(
        load_gate(options.registry, std::nullopt, std::nullopt, context.log).file, pool);
    for (size_t row = 0; row < routed.experts.size(); ++row) {
      const pipeline::InstalledExpert& expert = *routed.experts[row];
      const std::optional<TrainExpertOptions> training = training_of(expert, options);
      const auto dataset =
          std::find_if(datasets.begin(), datasets.end(),
                       [&](const data::Dataset& d) { return d.domain == expert.domain(); });
      if (!training || dataset == datasets.end()) continue;
      plans.push_back({*training, weights_of(row, routed.gate, pool, *dataset)});
    }
  }
  for (const Plan& plan : plans) {
    changed[plan.training.name] = {{"version", nullptr}};
    const Json trained = train_one_expert(plan.training, context, plan.weights);
    changed[plan.training.name] = {{"version", trained["version"]},
                                   {"epochs", trained["epochs"]},
                                   {"held_out_accuracy", trained["held_out_accuracy"]}};
  }
  if (changed.empty()) {
    throw Error("E_TRAIN_UNSUPPORTED", "no expert of the gate was trained by train-expert here",
                "train one with `moecollab train-expert`, then fit the gate");
  }
}

// The settings of the gate that is there, or the defaults; λ as the options say.
TrainGateOptions gate_options_of(const TrainRoundsOptions& options, Log log) {
  TrainGateOptions gate;
  if (fs::exists(pipeline::gate_folder(options.registry) / "gate.toml"))
    gate.gate = training::settings_of(pipeline::read_gate(options.registry, log), log);
  static_cast<CommonOptions&>(gate) = options;
  gate.data = options.data;
  gate::ObjectiveOptions& objective = gate.gate.objective;
  objective.lambda1 = options.lambda1.value_or(objective.lambda1);
  objective.lambda2 = options.lambda2.value_or(objective.lambda2);
  return gate;
}

// L_task of a fitted gate on the held-out texts that it was not fitted on.
double held_out_loss(const Json& gate) {
  const Json& loss = gate["validation_task_loss"];
  if (!loss.is_null()) return loss.get<double>();
  throw Error("E_DATA",
              fmt::format("{} held-out texts are too few to tell a better round from a worse one: "
                          "at least 5 are needed",
                          gate["texts"].get<int64_t>()),
              "give more training texts");
}

// One round: experts, then the gate. Where it cannot be finished, the registry is as before.
Json train_round(const TrainRoundsOptions& options, const TrainGateOptions& gate_options,
                 const std::vector<data::Dataset>& datasets, const Snapshot& before,
                 const RunContext& context) {
  Json experts = Json::object(), round = Json::object();
  try {
    if (options.joint) {
      round = train_jointly(options, datasets, context, experts);
    } else {
      train_experts(options, datasets, context, experts);
    }
    round["held_out_loss"] = held_out_loss(run_train_gate(gate_options, context));
  } catch (const Error& error) {
    before.restore(experts);
    if (error.code() != "E_INTERRUPTED") throw;
    throw Error(error.code(), "the round was interrupted; the registry is as it was before it",
                "the same command begins it anew");
  } catch (...) {
    before.restore(experts);
    throw;
  }
  round["experts"] = experts;
  return round;
}

}  // namespace

Json run_train_rounds(const TrainRoundsOptions& options, const RunContext& context) {
  if (options.rounds < 1 || options.rounds > 100) {
    throw Error("E_CONFIG", fmt::format("--rounds is {}, expected 1 to 100", options.rounds));
  }
  prepare(options);
  const std::vector<data::Dataset> datasets = read_datasets(options.data, "train", context.log);
  const TrainGateOptions gate_options = gate_options_of(options, context.log);
  double best = held_out_loss(run_train_gate(gate_options, context));
  Json rounds = Json::array({{{"round", 0}, {"held_out_loss", best}, {"kept", true}}});
  int kept = 0;
  const int rounds_at_most = options.joint ? 1 : options.rounds;
  for (int round = 1; round <= rounds_at_most; ++round) {
    const Snapshot before(options.registry, context.log);
    Json entry = train_round(options, gate_options, datasets, before, context);
    const auto loss = entry["held_out_loss"].get<double>();
    const bool better = loss < best;
    entry["round"] = round;
    entry["kept"] = better;
    rounds.push_back(entry);
    context.log.note(fmt::format("round {}: held-out loss {:.4f}, before {:.4f}: {}", round, loss,
                                 best, better ? "kept" : "undone, and this is the end"));
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
