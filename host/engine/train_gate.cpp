#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/console.h"
#include "base/error.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "training/gate_trainer.h"
#include "training/growth_data.h"
#include "training/shuffle.h"

namespace moecollab::engine {
namespace {

// Accuracy of each expert on the held-out texts of its own domains: what decides who is the best
// one.
Json expert_accuracies(pipeline::Pool& pool, const training::GateData& data) {
  Json accuracies = Json::object();
  for (size_t e = 0; e < pool.experts().size(); ++e) {
    const pipeline::InstalledExpert& expert = pool.experts()[e];
    const fusion::LabelUnion::Range range = pool.labels().range(expert.labels.space);
    const at::Tensor own =
        (data.targets >= range.offset).logical_and(data.targets < range.offset + range.count);
    const at::Tensor rows = own.nonzero().flatten();
    if (rows.numel() == 0) continue;
    const at::Tensor columns = encoder::index_tensor(
        std::vector<int64_t>(expert.labels.columns.begin(), expert.labels.columns.end()));
    const at::Tensor answers =
        columns.index_select(0, data.logits[e].index_select(0, rows).argmax(1));
    accuracies[expert.name] =
        answers.eq(data.targets.index_select(0, rows)).to(at::kDouble).mean().item<double>();
  }
  return accuracies;
}

// The 0th to 100th percentile of the gate's entropy on held-out texts: what "unknown" is measured
// against.
std::vector<double> entropy_percentiles(const gate::Gate& gate, const at::Tensor& z) {
  const at::NoGradGuard no_grad;
  const at::Tensor log_g = at::log_softmax(gate.router_logits(z), -1);
  const at::Tensor sorted = std::get<0>((-(log_g.exp() * log_g).sum(-1)).to(at::kDouble).sort());
  std::vector<double> percentiles;
  const int64_t last = sorted.numel() - 1;
  for (int64_t p = 0; p <= 100; ++p) percentiles.push_back(sorted[p * last / 100].item<double>());
  return percentiles;
}

// --layers (means of these), or the default.
std::vector<encoder::PooledKey> gate_features(const TrainGateOptions& options, int64_t layers) {
  if (options.layers.empty()) return gate::default_features(layers);
  std::vector<encoder::PooledKey> features;
  for (const int64_t layer : options.layers) {
    if (layer < 0 || layer > layers) {
      throw Error("E_CONFIG",
                  fmt::format("--layers has {}, the encoder has layers 0 (embeddings) to {}", layer,
                              layers));
    }
    features.push_back({static_cast<int>(layer), encoder::Pooling::kMean});
  }
  return features;
}

pipeline::GateFile gate_file(pipeline::Pool& pool, const training::GateFit& fit,
                             const training::GateData& data,
                             const std::vector<data::Dataset>& datasets,
                             const TrainGateOptions& options) {
  pipeline::GateFile file;
  file.gate = fit.gate;
  file.encoder_fingerprint = pool.encoder()->fingerprint();
  file.fusion = fusion::parse_mode(options.fusion);
  file.top_k = options.top_k;
  file.objective = {options.lambda1, options.lambda2};
  file.seed = options.seed;
  for (size_t e = 0; e < pool.experts().size(); ++e) {
    const pipeline::InstalledExpert& expert = pool.experts()[e];
    const registry::Manifest& manifest = expert.package.manifest;
    file.rows.push_back({expert.name, manifest.expert.id, manifest.expert.version.text(),
                         expert.sha256(), expert.labels.temperature, data.heldout_known[e]});
  }
  for (const data::Dataset& dataset : datasets) file.data[dataset.domain] = dataset.sha256;
  file.metrics = {{"texts", fit.texts},
                  {"epochs", fit.epochs},
                  {"task", fit.task},
                  {"validation_task", fit.validation_task},
                  {"entropy", fit.entropy},
                  {"balance", fit.balance},
                  {"total", fit.total},
                  {"expert_accuracy", expert_accuracies(pool, data)},
                  {"entropy_percentiles", entropy_percentiles(fit.gate, data.z)}};
  return file;
}

// --keep-replay N: what `grow` needs of these domains when their data is gone. Returns the file's
// SHA-256, or "" where nothing is kept; rows kept of an earlier gate go.
std::string keep_replay(pipeline::Pool& pool, const training::GateData& data,
                        const std::vector<data::Dataset>& datasets,
                        const std::vector<encoder::PooledKey>& features,
                        const TrainGateOptions& options) {
  const fs::path path = training::replay_path(options.registry);
  if (options.keep_replay == 0) {
    if (fs::remove(path)) print_note("the rows kept for `grow` were of the old gate: removed");
    return "";
  }
  const at::Tensor order =
      encoder::index_tensor(training::shuffled(data.z.size(0), options.seed, /*epoch=*/-2));
  training::GrowthRows rows;
  rows.texts.z = data.z.index_select(0, order);
  rows.texts.targets = data.targets.index_select(0, order);
  for (const at::Tensor& logits : data.logits)
    rows.texts.logits.push_back(logits.index_select(0, order));
  for (const data::Dataset& dataset : datasets) rows.domains.push_back(dataset.domain);
  for (int64_t i = 0; i < order.numel(); ++i)
    rows.domain_of.push_back(data.domains[static_cast<size_t>(order[i].item<int64_t>())]);
  std::vector<pipeline::InstalledExpert*> experts;
  for (pipeline::InstalledExpert& expert : pool.experts()) experts.push_back(&expert);
  return training::write_replay(
      options.registry, training::to_replay(rows, pool, experts, features, options.keep_replay));
}

}  // namespace

Json run_train_gate(const TrainGateOptions& options) {
  prepare(options);
  training::GateTrainingOptions training;
  training.objective = {options.lambda1, options.lambda2};
  training.fusion = fusion::parse_mode(options.fusion);
  training.top_k = options.top_k;
  training.epochs = options.epochs;
  training.lr = options.lr;
  training.weight_decay = options.weight_decay;
  training.batch = options.batch;
  training.seed = options.seed;
  training::validate(training);
  if (options.keep_replay < 0) {
    throw Error("E_CONFIG",
                fmt::format("--keep-replay is {}, expected 0 or more", options.keep_replay));
  }
  check_top_k(options.registry, options.top_k);
  require_writable(options.registry / registry::kLockFile);

  const std::vector<data::Dataset> datasets = read_datasets(options.data, "train");
  pipeline::Pool pool(pool_options(options));
  pool.require_experts();
  if (pool.encoder() == nullptr) {
    throw Error("E_ENCODER", "the gate reads encoder features, but registry.toml names no encoder",
                "set [encoder] path in registry.toml");
  }
  for (pipeline::InstalledExpert& expert : pool.experts()) {
    expert.labels.temperature = expert.package.manifest.output.temperature;
  }
  const std::vector<encoder::PooledKey> features =
      gate_features(options, pool.encoder()->config().layers);
  const training::GateData data = training::collect_gate_data(pool, datasets, features);
  std::vector<fusion::ExpertLabels> labels;
  for (const pipeline::InstalledExpert& expert : pool.experts()) labels.push_back(expert.labels);

  const auto start = std::chrono::steady_clock::now();
  const training::GateFit fit = training::fit_gate(data, labels, pool.labels(), features, training);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  pipeline::GateFile file = gate_file(pool, fit, data, datasets, options);
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  const std::string replay = keep_replay(pool, data, datasets, features, options);
  if (!replay.empty()) file.metrics["replay_sha256"] = replay;
  pipeline::write_gate(options.registry, file);

  const encoder::EncoderCounters& counters = pool.encoder()->counters();
  return {{"gate", pipeline::gate_folder(options.registry).string()},
          {"experts", pool.experts().size()},
          {"texts", fit.texts},
          {"fusion", options.fusion},
          {"epochs", fit.epochs},
          {"task_loss", fit.task},
          {"validation_task_loss", fit.validation_task},
          {"entropy", fit.entropy},
          {"balance", fit.balance},
          {"expert_accuracy", file.metrics["expert_accuracy"]},
          {"fit_seconds", seconds},
          {"encoder_forwards", counters.forwards},
          {"cache_hits", counters.cache_hits}};
}

}  // namespace moecollab::engine
