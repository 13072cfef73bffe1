#include "contribution/gate_fit.h"

#include "base/measure.h"
#include "contribution/install.h"
#include "training/gate_history.h"
#include "training/gate_inputs.h"
#include "training/replay_file.h"
#include "training/shuffle.h"

namespace moecollab::contribution {
namespace {

std::vector<std::pair<std::string, double>> expert_accuracies(const training::GateInputs& inputs) {
  const training::AnsweredTexts& texts = inputs.data.held_out;
  std::vector<std::pair<std::string, double>> accuracies;
  for (size_t e = 0; e < inputs.experts.size(); ++e) {
    const at::Tensor own = texts.spaces.eq(inputs.labels[e].space).nonzero().flatten();
    if (own.numel() == 0) continue;
    accuracies.emplace_back(inputs.experts[e], training::right_alone(texts, e, inputs.labels[e])
                                                   .index_select(0, own)
                                                   .to(at::kDouble)
                                                   .mean()
                                                   .item<double>());
  }
  return accuracies;
}

training::GateFitRecord record_of(const training::GateInputs& inputs,
                                  const training::GateFit& fit) {
  training::GateFitRecord record;
  record.settings = inputs.options;
  record.texts = fit.texts;
  record.epochs = fit.epochs;
  record.skipped_steps = fit.skipped_steps;
  record.task = fit.task;
  record.entropy = fit.entropy;
  record.balance = fit.balance;
  record.total = fit.total;
  record.expert_accuracy = expert_accuracies(inputs);
  record.entropy_percentiles = gate::entropy_percentiles(fit.gate, inputs.data.held_out.z);
  record.validation_task = fit.validation_task;
  return record;
}

pipeline::GateFile gate_file(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                             const training::GateInputs& inputs, const training::GateFit& fit) {
  pipeline::GateFile file;
  file.gate = fit.gate;
  file.encoder_fingerprint = pool.encoder()->fingerprint();
  file.precision = pool.options().compute.precision;
  for (size_t e = 0; e < inputs.labels.size(); ++e) {
    const pipeline::InstalledExpert& expert = pool.experts()[e];
    const registry::Manifest& manifest = expert.package.manifest;
    file.rows.push_back({expert.name, manifest.expert.id, manifest.expert.version.text(),
                         expert.sha256(), inputs.labels[e].temperature,
                         inputs.data.held_out.seen[e] == 0});
  }
  for (const data::Dataset& dataset : datasets) file.data[dataset.domain] = dataset.sha256;
  return file;
}

// What `grow` needs of these domains when their data is gone. Returns the file's SHA-256, or ""
// if nothing is kept; rows kept of an earlier gate go.
std::string keep_replay(pipeline::Pool& pool, const training::GateInputs& inputs) {
  const fs::path& registry = pool.options().registry;
  const fs::path path = registry::replay_file(registry);
  if (inputs.options.keep_replay == 0) {
    pipeline::keep_until_written(path);
    if (fs::remove(path))
      pool.context().log.note("the rows kept for `grow` were of the old gate: removed");
    return "";
  }
  const training::AnsweredTexts& held_out = inputs.data.held_out;
  const at::Tensor order =
      encoder::index_tensor(training::shuffled(held_out.rows(), inputs.options.seed, /*epoch=*/-2));
  std::vector<pipeline::InstalledExpert*> experts;
  for (pipeline::InstalledExpert& expert : pool.experts()) experts.push_back(&expert);
  return training::write_replay(
      registry, training::to_replay(held_out.select(order), pool, experts, inputs.features,
                                    inputs.options.keep_replay));
}

}  // namespace

FittedGate fit_and_write_gate(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                              const training::GateTrainingOptions& settings) {
  const RunContext& context = pool.context();
  const fs::path& registry = pool.options().registry;
  const training::GateInputs inputs = training::collect_gate_inputs(pool, datasets, settings);
  const Stopwatch watch;
  training::GateFit fit = training::fit_gate(inputs.problem(context.log), inputs.options, context);
  FittedGate fitted;
  fitted.seconds = watch.seconds();
  fitted.file = gate_file(pool, datasets, inputs, fit);
  fitted.record = record_of(inputs, fit);
  fitted.calibration = inputs.calibration;
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  const FileLock lock = lock_registry(registry, context.log);
  // History and kept rows before the gate, so that a gate always has them.
  training::write_history(registry, fit.history, inputs.domains(), inputs.experts);
  fitted.record.replay_sha256 = keep_replay(pool, inputs);
  training::write_record(fitted.record, fitted.file);
  pipeline::write_gate(registry, fitted.file);
  fitted.history = std::move(fit.history);
  return fitted;
}

}  // namespace moecollab::contribution
