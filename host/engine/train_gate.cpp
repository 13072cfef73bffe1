#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <chrono>

#include "base/error.h"
#include "contribution/install.h"
#include "engine/gate_history.h"
#include "engine/gate_inputs.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "training/replay_file.h"
#include "training/shuffle.h"

namespace moecollab::engine {
namespace {

// Accuracy of each expert on the held-out texts of its own label space: what decides who is the
// best one.
Json expert_accuracies(pipeline::Pool& pool, const training::AnsweredTexts& texts) {
  Json accuracies = Json::object();
  for (size_t e = 0; e < pool.experts().size(); ++e) {
    const pipeline::InstalledExpert& expert = pool.experts()[e];
    const at::Tensor own = texts.spaces.eq(expert.labels.space).nonzero().flatten();
    if (own.numel() == 0) continue;
    accuracies[expert.name] = training::right_alone(texts, e, expert.labels)
                                  .index_select(0, own)
                                  .to(at::kDouble)
                                  .mean()
                                  .item<double>();
  }
  return accuracies;
}

pipeline::GateFile gate_file(const TrainGateOptions& options, const GateInputs& inputs,
                             const training::GateFit& fit, const Json& accuracies) {
  const pipeline::Pool& pool = *inputs.pool;
  pipeline::GateFile file;
  file.gate = fit.gate;
  file.encoder_fingerprint = pool.encoder()->fingerprint();
  file.fusion = inputs.training.fusion;
  file.top_k = inputs.training.top_k;
  file.objective = inputs.training.objective;
  file.prior = inputs.training.prior;
  file.seed = inputs.training.seed;
  file.fit = fit_json(options);
  for (size_t e = 0; e < inputs.labels.size(); ++e) {
    const pipeline::InstalledExpert& expert = inputs.pool->experts()[e];
    const registry::Manifest& manifest = expert.package.manifest;
    file.rows.push_back({expert.name, manifest.expert.id, manifest.expert.version.text(),
                         expert.sha256(), inputs.labels[e].temperature,
                         inputs.data.held_out.seen[e] == 0});
  }
  for (const data::Dataset& dataset : inputs.datasets) file.data[dataset.domain] = dataset.sha256;
  file.metrics = {
      {"texts", fit.texts},
      {"epochs", fit.epochs},
      {"optimizer", training::name(inputs.training.optimizer)},
      {"skipped_steps", fit.skipped_steps},
      {"task", fit.task},
      {"entropy", fit.entropy},
      {"balance", fit.balance},
      {"total", fit.total},
      {"expert_accuracy", accuracies},
      {"entropy_percentiles", gate::entropy_percentiles(fit.gate, inputs.data.held_out.z)}};
  if (fit.validation_task) file.metrics["validation_task"] = *fit.validation_task;
  return file;
}

// --keep-replay N: what `grow` needs of these domains when their data is gone. Returns the file's
// SHA-256, or "" where nothing is kept; rows kept of an earlier gate go.
std::string keep_replay(const GateInputs& inputs, const TrainGateOptions& options) {
  const fs::path path = training::replay_path(options.registry);
  if (options.keep_replay == 0) {
    pipeline::keep_until_written(path);
    if (fs::remove(path))
      inputs.pool->context().log.note("the rows kept for `grow` were of the old gate: removed");
    return "";
  }
  const training::AnsweredTexts& held_out = inputs.data.held_out;
  const at::Tensor order =
      encoder::index_tensor(training::shuffled(held_out.rows(), options.seed, /*epoch=*/-2));
  std::vector<pipeline::InstalledExpert*> experts;
  for (pipeline::InstalledExpert& expert : inputs.pool->experts()) experts.push_back(&expert);
  return training::write_replay(options.registry,
                                training::to_replay(held_out.select(order), *inputs.pool, experts,
                                                    inputs.features, options.keep_replay));
}

// history.jsonl: a line an epoch. Written before the gate, so that a gate always has its history.
void write_history(const fs::path& registry, const GateInputs& inputs,
                   const training::GateFit& fit) {
  std::vector<std::string> domains;
  for (const data::Dataset& dataset : inputs.datasets) domains.push_back(dataset.domain);
  std::string lines;
  for (const training::GateEpoch& epoch : fit.history)
    lines += to_line(to_json(epoch, domains, inputs.expert_names())) + "\n";
  const fs::path folder = pipeline::gate_folder(registry);
  make_folder(folder);
  write_file_atomic(folder / "history.jsonl", lines);
}

Json calibration_json(const GateInputs& inputs) {
  Json json = Json::object();
  const std::vector<std::string> names = inputs.expert_names();
  for (size_t e = 0; e < inputs.calibration.size(); ++e) {
    const training::Calibration& c = inputs.calibration[e];
    json[names[e]] = {{"temperature", c.temperature},
                      {"texts", c.texts},
                      {"nll_before", c.nll_before},
                      {"nll_after", c.nll_after}};
  }
  return inputs.calibration.empty() ? Json(nullptr) : json;
}

}  // namespace

Json run_train_gate(const TrainGateOptions& options, const RunContext& context) {
  if (options.keep_replay < 0) {
    throw Error("E_CONFIG",
                fmt::format("--keep-replay is {}, expected 0 or more", options.keep_replay));
  }
  const GateInputs inputs = prepare_gate(
      options, context, [&] { require_writable(options.registry / registry::kLockFile); });
  const auto start = std::chrono::steady_clock::now();
  const training::GateFit fit = training::fit_gate(inputs.problem(), inputs.training, context);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const Json accuracies = expert_accuracies(*inputs.pool, inputs.data.held_out);
  pipeline::GateFile file = gate_file(options, inputs, fit, accuracies);
  for (const data::Dataset& dataset : inputs.datasets) data::require_unchanged(dataset);
  const FileLock lock = contribution::lock_registry(options.registry, context.log);
  write_history(options.registry, inputs, fit);
  const std::string replay = keep_replay(inputs, options);
  if (!replay.empty()) file.metrics["replay_sha256"] = replay;
  pipeline::write_gate(options.registry, file);

  const encoder::EncoderCounters& counters = inputs.pool->encoder()->counters();
  int64_t calls = 0;
  for (const pipeline::InstalledExpert& expert : inputs.pool->experts()) calls += expert.calls;
  return {
      {"gate", pipeline::gate_folder(options.registry).string()},
      {"experts", inputs.labels.size()},
      {"texts", fit.texts},
      {"fusion", options.fusion},
      {"optimizer", options.optimizer},
      {"epochs", fit.epochs},
      {"skipped_steps", fit.skipped_steps},
      {"task_loss", fit.task},
      {"validation_task_loss", fit.validation_task ? Json(*fit.validation_task) : Json(nullptr)},
      {"entropy", fit.entropy},
      {"balance", fit.balance},
      {"expert_accuracy", accuracies},
      {"calibration", calibration_json(inputs)},
      {"fit_seconds", seconds},
      {"expert_calls", calls},
      {"encoder_forwards", counters.forwards},
      {"cache_hits", counters.cache_hits}};
}

}  // namespace moecollab::engine
