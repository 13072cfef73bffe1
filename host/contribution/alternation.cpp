#include "contribution/alternation.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "contribution/trained_expert.h"
#include "contribution/trained_package.h"
#include "data/hold_out.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"
#include "pipeline/targets.h"
#include "registry/resolution.h"

namespace moecollab::contribution {
namespace {

constexpr int64_t kLeastHeldOut = 5;   // one in five judges the gate's fit
constexpr double kLeastWeight = 0.05;  // before scaling: no text is lost for an expert for good

// How an installed expert was trained; nullopt for one that came from elsewhere.
std::optional<ExpertOptions> options_of(const std::string& name, const registry::Package& package,
                                        const fs::path& registry, uint64_t seed) {
  if (!was_trained_here(package, registry)) return std::nullopt;
  const registry::Manifest& manifest = package.manifest;
  return ExpertOptions{
      .name = name,
      .kind = manifest.provenance["kind"].get<std::string>(),
      .domain = manifest.task.domain,
      .config = manifest.config,
      .recipe = recipe_from_json(manifest.provenance["recipe"]).overrides(),
      .checkpoints = {},
      .force = true,
      .seed = seed,
  };
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

// An expert that is to learn again.
struct Pupil {
  ExpertOptions asked;
  TextWeights weights;
  const data::Dataset* dataset;
};

// Every expert of the gate whose training is known and whose domain has data.
std::vector<Pupil> pupils_of_gate(const std::vector<data::Dataset>& datasets,
                                  const pipeline::PoolOptions& open, uint64_t seed) {
  std::vector<Pupil> pupils;
  pipeline::Pool pool(open);
  const pipeline::RoutedGate routed =
      pipeline::open_gate(pipeline::read_gate(open.registry, open.context.log), pool);
  for (size_t row = 0; row < routed.experts.size(); ++row) {
    const pipeline::InstalledExpert& expert = *routed.experts[row];
    const std::optional<ExpertOptions> asked =
        options_of(expert.name, expert.package, open.registry, seed);
    const auto dataset =
        std::find_if(datasets.begin(), datasets.end(),
                     [&](const data::Dataset& d) { return d.domain == expert.domain(); });
    if (!asked || dataset == datasets.end()) continue;
    pupils.push_back({*asked, weights_of(row, routed.gate, pool, *dataset), &*dataset});
  }
  return pupils;
}

[[noreturn]] void fail_no_pupil() {
  throw Error("E_TRAIN_UNSUPPORTED", "no expert of the gate was trained by train-expert here",
              "train one with `moecollab train-expert`, then fit the gate");
}

std::vector<ExpertLearnt> train_experts(const std::vector<data::Dataset>& datasets,
                                        const pipeline::PoolOptions& open, uint64_t seed,
                                        RegistrySnapshot& before) {
  std::vector<ExpertLearnt> learnt;
  pipeline::PoolOptions tolerant = open;
  tolerant.tolerate_refused = true;  // a broken neighbour is no reason not to train
  for (const Pupil& pupil : pupils_of_gate(datasets, open, seed)) {
    before.will_change(pupil.asked.name);
    const ExpertPlan plan = plan_expert(pupil.asked);
    require_lesson(*pupil.dataset);
    pipeline::Pool pool(tolerant);
    const ExpertTrained trained = train_expert(plan, *pupil.dataset, pool, pupil.weights);
    learnt.push_back({trained.name, trained.version,
                      ExpertLearnt::Alone{trained.epochs, trained.held_out_accuracy}});
  }
  if (learnt.empty()) fail_no_pupil();
  return learnt;
}

[[noreturn]] void fail_few_texts(int64_t texts) {
  throw Error("E_DATA",
              fmt::format("{} held-out texts are too few to tell a better round from a worse one: "
                          "at least {} are needed",
                          texts, kLeastHeldOut),
              "give more training texts");
}

double held_out_loss(const GateFitSummary& gate) {
  if (gate.held_out_loss) return *gate.held_out_loss;
  fail_few_texts(gate.texts);
}

// Experts, then the gate. If it cannot be finished, the registry is as before.
Round train_round(const AlternationOptions& options, const std::vector<data::Dataset>& datasets,
                  const pipeline::PoolOptions& open,
                  const std::function<GateFitSummary()>& fit_gate, RegistrySnapshot& before) {
  Round round;
  try {
    if (options.joint) {
      JointRound joint = train_jointly(options, datasets, open, before);
      round.joint = std::move(joint.figures);
      round.experts = std::move(joint.experts);
    } else {
      round.experts = train_experts(datasets, open, options.seed, before);
    }
    round.held_out_loss = held_out_loss(fit_gate());
  } catch (const Error& error) {
    before.restore();
    if (error.code() != "E_INTERRUPTED") throw;
    throw Error(error.code(), "the round was interrupted; the registry is as it was before it",
                "the same command begins it again");
  } catch (...) {
    before.restore();
    throw;
  }
  return round;
}

Json to_json(const ExpertLearnt& expert) {
  Json json = {{"version", expert.version}};
  if (!expert.alone) return json;
  const std::optional<double>& accuracy = expert.alone->held_out_accuracy;
  json["epochs"] = expert.alone->epochs;
  json["held_out_accuracy"] = accuracy ? Json(*accuracy) : Json(nullptr);
  return json;
}

Json to_json(const std::vector<training::JointEpoch>& history) {
  Json list = Json::array();
  for (const training::JointEpoch& epoch : history) {
    list.push_back({{"train_loss", epoch.train_loss},
                    {"held_out_loss", epoch.held_out_loss},
                    {"held_out_accuracy", epoch.held_out_accuracy},
                    {"skipped_steps", epoch.skipped_steps}});
  }
  return list;
}

Json to_json(const Round& round) {
  if (round.number == 0) {
    return {{"round", 0}, {"held_out_loss", round.held_out_loss}, {"kept", round.kept}};
  }
  Json json = Json::object();
  if (round.joint)
    json = {{"epochs", round.joint->epochs}, {"history", to_json(round.joint->history)}};
  json["held_out_loss"] = round.held_out_loss;
  json["experts"] = Json::object();
  for (const ExpertLearnt& expert : round.experts) json["experts"][expert.name] = to_json(expert);
  json["round"] = round.number;
  json["kept"] = round.kept;
  return json;
}

}  // namespace

Json to_json(const Alternation& alternation) {
  Json rounds = Json::array();
  for (const Round& round : alternation.rounds) rounds.push_back(to_json(round));
  return {
      {"rounds", rounds}, {"kept", alternation.kept}, {"held_out_loss", alternation.held_out_loss}};
}

void validate(const AlternationOptions& options) {
  if (options.rounds < 1 || options.rounds > 100) {
    throw Error("E_CONFIG", fmt::format("rounds is {}, expected 1 to 100", options.rounds));
  }
  if (options.joint) {
    training::JointOptions joint;
    joint.epochs = options.epochs;
    training::validate(joint);
  }
}

void require_pupils(const AlternationOptions& options, const std::vector<data::Dataset>& datasets,
                    const fs::path& registry) {
  const int64_t held_out = data::count_held_out(datasets);
  if (held_out == 0) data::require_held_out(datasets);
  if (held_out < kLeastHeldOut) fail_few_texts(held_out);
  bool found = false;
  for (const registry::Candidate& candidate : registry::resolve(
           registry, registry::read_registry(registry), registry::read_lock(registry))) {
    if (candidate.state != registry::State::kManifestOk) continue;
    const std::string& domain = candidate.package->manifest.task.domain;
    const auto dataset = std::ranges::find(datasets, domain, &data::Dataset::domain);
    const auto asked = options_of(candidate.name, *candidate.package, registry, options.seed);
    if (!asked || dataset == datasets.end()) continue;
    found = true;
    if (options.joint) continue;
    plan_expert(*asked);
    require_lesson(*dataset);
  }
  if (!found) fail_no_pupil();
}

Alternation alternate(const AlternationOptions& options, const std::vector<data::Dataset>& datasets,
                      const pipeline::PoolOptions& open,
                      const std::function<GateFitSummary()>& fit_gate) {
  Alternation result;
  result.held_out_loss = held_out_loss(fit_gate());
  result.rounds.push_back({0, result.held_out_loss, true, {}, {}});
  const int rounds_at_most = options.joint ? 1 : options.rounds;
  for (int number = 1; number <= rounds_at_most; ++number) {
    RegistrySnapshot before(open.registry, open.context.log);
    Round round = train_round(options, datasets, open, fit_gate, before);
    round.number = number;
    round.kept = round.held_out_loss < result.held_out_loss;
    open.context.log.note(fmt::format("round {}: held-out loss {:.4f}, before {:.4f}: {}", number,
                                      round.held_out_loss, result.held_out_loss,
                                      round.kept ? "kept" : "undone, and this is the end"));
    if (!round.kept) before.restore();
    result.rounds.push_back(round);
    if (!round.kept) break;
    result.held_out_loss = round.held_out_loss;
    result.kept = number;
  }
  return result;
}

}  // namespace moecollab::contribution
