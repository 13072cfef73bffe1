#include "contribution/gate_fit.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/measure.h"
#include "pipeline/collaboration.h"
#include "training/gate_cross_fit.h"
#include "training/gate_guard.h"
#include "training/gate_history.h"
#include "training/gate_inputs.h"
#include "training/held_out_profile.h"
#include "training/replay_file.h"
#include "training/shuffle.h"

namespace moecollab::contribution {
namespace {

// How each expert answers the held-out texts of its own label space.
void add_accuracies(const training::GateInputs& inputs, training::GateFitRecord& record) {
  const training::AnsweredTexts& texts = inputs.data.held_out;
  for (size_t e = 0; e < inputs.experts.size(); ++e) {
    const at::Tensor own = texts.spaces.eq(inputs.labels[e].space).nonzero().flatten();
    if (own.numel() == 0) continue;
    record.expert_texts.emplace_back(inputs.experts[e], own.numel());
    record.expert_accuracy.emplace_back(inputs.experts[e],
                                        training::right_alone(texts, e, inputs.labels[e])
                                            .index_select(0, own)
                                            .to(at::kDouble)
                                            .mean()
                                            .item<double>());
  }
}

void add_figures(const training::GateInputs& inputs, const training::GateFit& fit,
                 training::GateFitRecord& record) {
  record.settings = inputs.options;
  record.texts = fit.texts;
  record.epochs = fit.epochs;
  record.skipped_steps = fit.skipped_steps;
  record.task = fit.task;
  record.entropy = fit.entropy;
  record.balance = fit.balance;
  record.total = fit.total;
  add_accuracies(inputs, record);
  record.entropy_percentiles = gate::entropy_percentiles(fit.gate, inputs.data.held_out.z);
  record.validation_task = fit.validation_task;
}

void add_guards(const training::GateInputs& inputs, const std::vector<training::ShareGuard>& guards,
                training::GateFitRecord& record) {
  for (const training::ShareGuard& guard : guards)
    record.share_guards.emplace_back(inputs.experts[static_cast<size_t>(guard.expert)], guard);
}

// What later texts are compared with.
void add_profiles(pipeline::Pool& pool, const training::GateInputs& inputs,
                  const training::GateProblem& problem, const training::GateFit& fit,
                  training::GateFitRecord& record) {
  const at::NoGradGuard no_grad;
  const int64_t top_k =
      record.top_k_choice ? record.top_k_choice->stored_top_k() : record.settings.top_k;
  record.profiles = training::held_out_profiles(
      {fit.gate, problem.experts(), pipeline::weight_caps(pool, pool.all_experts())},
      inputs.experts, inputs.all_labels, record.settings.fusion, top_k, inputs.data.held_out);
}

pipeline::GateFile gate_file(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                             const training::GateInputs& inputs,
                             const training::GateProblem& problem, const training::GateFit& fit) {
  pipeline::GateFile file;
  file.gate = fit.gate;
  file.encoder_fingerprint = pool.encoder()->fingerprint();
  file.precision = pool.options().compute.precision;
  file.device = pool.options().compute.device.type;
  for (size_t e = 0; e < inputs.labels.size(); ++e) {
    const pipeline::InstalledExpert& expert = pool.experts()[e];
    const registry::Manifest& manifest = expert.package.manifest;
    const fusion::ExpertLabels& labels = problem.experts()[e];
    file.rows.push_back({expert.name, manifest.expert.id, manifest.expert.version.text(),
                         expert.sha256(), labels.temperature, inputs.data.held_out.seen[e] == 0,
                         problem.labels().spaces()[static_cast<size_t>(labels.space)].name,
                         labels.pool});
  }
  for (const data::Dataset& dataset : datasets) file.data[dataset.domain] = dataset.sha256;
  return file;
}

// What `--top-k auto` compares must be answers to texts that experts have not seen: one that has
// would look good enough alone.
void require_honest(const training::GateInputs& inputs) {
  const std::vector<int64_t>& seen = inputs.data.held_out.seen;
  for (size_t e = 0; e < seen.size(); ++e) {
    if (seen[e] == 0) continue;
    throw Error(
        "E_CONFIG",
        fmt::format("--top-k auto without held-out logits: expert {} has none for {} of the "
                    "{} held-out texts, which are of its own domain, so it may have trained "
                    "on them",
                    inputs.experts[e], seen[e], inputs.data.held_out.rows()),
        "give a number with --top-k, disable that expert, or train it here with "
        "`moecollab train-expert`, which keeps its held-out logits");
  }
}

// `router`: cross-fitted router logits.
training::TopKChoice choose_top_k(pipeline::Pool& pool, const training::GateProblem& problem,
                                  const at::Tensor& router) {
  const training::TopKChoice choice =
      training::choose_top_k(problem, router, pipeline::weight_caps(pool, pool.all_experts()));
  if (const auto stated = pool.registry().gate.top_k; stated && *stated != choice.top_k) {
    pool.context().log.note(
        fmt::format("registry.toml says top_k = {} in [gate]: that counts, not the chosen {}",
                    *stated, choice.top_k));
  }
  return choice;
}

// What is decided after the fit by gates that were not fitted on the texts that decide: how far the
// guard changes a gate of one softmax, and how many experts a text needs.
void decide(pipeline::Pool& pool, const training::GateInputs& inputs,
            const training::GateProblem& problem, training::GateFit& fit,
            training::GateFitRecord& record) {
  const RunContext& context = pool.context();
  const bool has_guard = inputs.options.guard && !fit.gate.is_factored();
  const std::vector<int> spaces =
      has_guard ? training::guarded_spaces(problem) : std::vector<int>();
  if (spaces.empty() && !inputs.options.choose_top_k) return;
  at::Tensor router =
      training::cross_fitted_router_logits(problem, inputs.options, fit.epochs, context);
  add_guards(inputs,
             training::guard_gate(problem, spaces, inputs.experts, context.log, router, fit.gate),
             record);
  if (inputs.options.choose_top_k) record.top_k_choice = choose_top_k(pool, problem, router);
}

// What `grow` needs of these domains when their data is gone. Returns the file's SHA-256, or ""
// if nothing is kept; rows kept of an earlier gate go.
std::string keep_replay(pipeline::Pool& pool, const training::GateInputs& inputs,
                        registry::Change& change) {
  if (inputs.options.keep_replay == 0) {
    change.remove(registry::replay_file({}));
    if (fs::exists(registry::replay_file(pool.options().registry)))
      pool.context().log.note("the rows kept for `grow` were of the old gate: removed");
    return "";
  }
  const training::AnsweredTexts& held_out = inputs.data.held_out;
  const at::Tensor order =
      encoder::index_tensor(training::shuffled(held_out.rows(), inputs.options.seed, /*epoch=*/-2));
  return training::write_replay(
      change.staging(), training::to_replay(held_out.select(order), pool, pool.all_experts(),
                                            inputs.features, inputs.options.keep_replay));
}

}  // namespace

FittedGate fit_and_write_gate(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                              const training::GateTrainingOptions& settings,
                              registry::Change* within) {
  return fit_and_write_gate(pool, datasets, training::collect_gate_inputs(pool, datasets, settings),
                            within);
}

FittedGate fit_and_write_gate(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                              const training::GateInputs& inputs, registry::Change* within) {
  const RunContext& context = pool.context();
  const fs::path& registry = pool.options().registry;
  if (inputs.options.choose_top_k) require_honest(inputs);
  const Stopwatch watch;
  const training::GateProblem problem =
      inputs.problem(context, encoder::to_torch(pool.options().compute.device));
  training::GateFit fit = training::fit_gate(problem, inputs.options, context);
  FittedGate fitted;
  add_guards(inputs, problem.share_guards(), fitted.record);
  decide(pool, inputs, problem, fit, fitted.record);
  fitted.seconds = watch.seconds();
  fitted.file = gate_file(pool, datasets, inputs, problem, fit);
  add_figures(inputs, fit, fitted.record);
  add_profiles(pool, inputs, problem, fit, fitted.record);
  fitted.calibration = inputs.calibration;
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  const auto put = [&](registry::Change& change) {
    training::write_history(change.staging(), fit.history, inputs.domains(), inputs.experts);
    fitted.record.replay_sha256 = keep_replay(pool, inputs, change);
    training::write_record(fitted.record, fitted.file);
    pipeline::write_gate(change.staging(), fitted.file);
  };
  if (within != nullptr) {
    put(*within);
  } else {
    const FileLock lock = registry::lock_registry(registry, context.log);
    registry::Change change(registry, lock, context.log);
    put(change);
    change.commit(pool.options().note);
  }
  fitted.history = std::move(fit.history);
  return fitted;
}

}  // namespace moecollab::contribution
