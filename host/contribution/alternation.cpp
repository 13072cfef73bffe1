#include "contribution/alternation.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
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
                                        const fs::path& registry,
                                        const AlternationOptions& options) {
  if (!can_learn_again(package, registry)) return std::nullopt;
  const registry::Manifest& manifest = package.manifest;
  return ExpertOptions{
      .name = name,
      .kind = manifest.provenance["kind"].get<std::string>(),
      .domain = manifest.task.domain,
      .config = manifest.config,
      .recipe = recipe_from_json(manifest.provenance["recipe"]).overrides(),
      .distill = {},
      .checkpoints = {.resume = false, .seconds = options.checkpoints.seconds},
      .force = true,
      .seed = options.seed,
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
                                  const pipeline::PoolOptions& open,
                                  const AlternationOptions& options) {
  std::vector<Pupil> pupils;
  pipeline::Pool pool(open);
  const pipeline::RoutedGate routed = pipeline::open_gate(pipeline::read_gate(pool), pool);
  for (size_t row = 0; row < routed.experts.size(); ++row) {
    const pipeline::InstalledExpert& expert = *routed.experts[row];
    const std::optional<ExpertOptions> asked =
        options_of(expert.name, expert.package, open.registry, options);
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

ExpertTrained train_pupil(const Pupil& pupil, pipeline::PoolOptions open, UnfinishedRounds& run) {
  ExpertOptions asked = pupil.asked;
  asked.checkpoints.resume = run.begin_expert(asked.name);
  const ExpertPlan plan = plan_expert(asked);
  require_lesson(*pupil.dataset);
  open.tolerate_refused = true;  // a broken neighbour is no reason not to train
  pipeline::Pool pool(open);
  ExpertTrained trained = train_expert(plan, *pupil.dataset, pool, pupil.weights);
  run.end_expert(trained);
  return trained;
}

std::vector<ExpertLearnt> train_experts(const AlternationOptions& options,
                                        const std::vector<data::Dataset>& datasets,
                                        const pipeline::PoolOptions& open, UnfinishedRounds& run,
                                        RegistrySnapshot& before) {
  std::vector<ExpertLearnt> learnt;
  for (const Pupil& pupil : pupils_of_gate(datasets, open, options)) {
    before.will_change(pupil.asked.name);
    std::optional<ExpertTrained> trained = run.reinstall(pupil.asked.name);
    if (!trained) trained = train_pupil(pupil, open, run);
    learnt.push_back({trained->name, trained->version,
                      ExpertLearnt::Alone{trained->epochs, trained->held_out_accuracy}});
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

// Experts, unless it is the round 0, then the gate. If it cannot be finished, the registry is as
// before.
Round train_round(const AlternationOptions& options, const std::vector<data::Dataset>& datasets,
                  const pipeline::PoolOptions& open,
                  const std::function<GateFitSummary()>& fit_gate, UnfinishedRounds& run,
                  RegistrySnapshot& before) {
  Round round;
  round.number = static_cast<int>(run.rounds().size());
  try {
    if (round.number > 0 && options.joint) {
      JointRound joint = train_jointly(options, datasets, open, before);
      round.joint = std::move(joint.figures);
      round.experts = std::move(joint.experts);
    } else if (round.number > 0) {
      round.experts = train_experts(options, datasets, open, run, before);
    }
    round.held_out_loss = held_out_loss(fit_gate());
  } catch (const Error& error) {
    before.restore(open.note);
    if (error.code() != "E_INTERRUPTED") throw;
    throw Error(error.code(), "the round was interrupted; the registry is as it was before it",
                "continue with the same command and --resume");
  } catch (...) {
    before.restore(open.note);
    throw;
  }
  return round;
}

// The last round that was kept.
const Round& best_of(const std::vector<Round>& rounds) {
  return rounds.back().kept ? rounds.back() : rounds.end()[-2];
}

bool is_over(const std::vector<Round>& rounds, const AlternationOptions& options) {
  const int at_most = options.joint ? 1 : options.rounds;
  return !rounds.empty() && (!rounds.back().kept || rounds.back().number == at_most);
}

// Keeps the round if it helped, else undoes it.
void judge(Round& round, const std::vector<Round>& rounds, RegistrySnapshot& before,
           const pipeline::PoolOptions& open) {
  const Log log = open.context.log;
  if (rounds.empty()) return;
  const double least = best_of(rounds).held_out_loss;
  round.kept = round.held_out_loss < least;
  log.note(fmt::format("round {}: held-out loss {:.4f}, before {:.4f}: {}", round.number,
                       round.held_out_loss, least,
                       round.kept ? "kept" : "undone, and this is the end"));
  if (!round.kept) before.restore(open.note);
}

}  // namespace

Json to_json(const Alternation& alternation) {
  return {{"rounds", to_json(alternation.rounds)},
          {"kept", alternation.kept},
          {"held_out_loss", alternation.held_out_loss}};
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

std::map<std::string, std::string> require_pupils(const AlternationOptions& options,
                                                  const std::vector<data::Dataset>& datasets,
                                                  const fs::path& registry) {
  const int64_t held_out = data::count_held_out(datasets);
  if (held_out == 0) data::require_held_out(datasets);
  if (held_out < kLeastHeldOut) fail_few_texts(held_out);
  std::map<std::string, std::string> pupils;
  for (const registry::Candidate& candidate : registry::resolve(
           registry, registry::read_registry(registry), registry::read_lock(registry))) {
    if (candidate.state != registry::State::kManifestOk) continue;
    const std::string& domain = candidate.package->manifest.task.domain;
    const auto dataset = std::ranges::find(datasets, domain, &data::Dataset::domain);
    const auto asked = options_of(candidate.name, *candidate.package, registry, options);
    if (!asked || dataset == datasets.end()) continue;
    std::string& kind = pupils[candidate.name];
    if (options.joint) continue;
    kind = plan_expert(*asked).kind.manifest_sha256;
    require_lesson(*dataset);
  }
  if (pupils.empty()) fail_no_pupil();
  return pupils;
}

Alternation alternate(const AlternationOptions& options, const std::vector<data::Dataset>& datasets,
                      const pipeline::PoolOptions& open,
                      const std::function<GateFitSummary()>& fit_gate, UnfinishedRounds& run) {
  if (!run.over()) {
    while (!is_over(run.rounds(), options)) {
      RegistrySnapshot& before = run.begin_round();
      Round round = train_round(options, datasets, open, fit_gate, run, before);
      judge(round, run.rounds(), before, open);
      run.end_round(std::move(round));
    }
    run.end();
  }
  const Round& best = best_of(run.rounds());
  Alternation result{run.rounds(), best.number, best.held_out_loss};
  run.remove();
  return result;
}

}  // namespace moecollab::contribution
