#include "training/gate_inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "training/gate_prior.h"
#include "training/gate_warm_up.h"

namespace moecollab::training {
namespace {

void require_layer(const char* option, int64_t layer, int64_t layers) {
  if (layer >= 0 && layer <= layers) return;
  throw Error("E_CONFIG", fmt::format("{} {}, the encoder has layers 0 (embeddings) to {}", option,
                                      layer, layers));
}

std::vector<encoder::PooledKey> gate_features(const GateTrainingOptions& options, int64_t layers) {
  if (options.gate_layer) require_layer("gate-layer is", *options.gate_layer, layers);
  if (options.layers.empty()) return gate::default_features(options.gate_layer.value_or(layers));
  std::vector<encoder::PooledKey> features;
  for (const int64_t layer : options.layers) {
    require_layer("layers has", layer, layers);
    features.push_back({static_cast<int>(layer), encoder::Pooling::kMean});
  }
  return features;
}

void report_calibration(const GateInputs& inputs, Log log) {
  for (size_t e = 0; e < inputs.experts.size(); ++e) {
    const Calibration& c = inputs.calibration[e];
    if (c.texts == 0) {
      log.warning(fmt::format(
          "expert {} has no held-out text of its own labels; its temperature stays {:g}",
          inputs.experts[e], c.temperature));
    } else if (c.temperature == kMinTemperature || c.temperature == kMaxTemperature) {
      log.warning(fmt::format(
          "expert {}: the best temperature lies beyond {:g}, where the search ends ({} texts)",
          inputs.experts[e], c.temperature, c.texts));
    }
  }
}

// A gate that is fitted without a text of some label space learns that no text is ever of it.
void warn_of_spaces_without_texts(const GateInputs& inputs, Log log) {
  std::vector<bool> has_texts(inputs.all_labels.spaces().size());
  for (const double target : encoder::to_doubles(inputs.data.held_out.targets))
    has_texts[static_cast<size_t>(inputs.all_labels.space_of(static_cast<int>(target)))] = true;
  if (fusion::is_task_agnostic(inputs.options.fusion) && inputs.data.others.rows() > 0) {
    for (const double space : encoder::to_doubles(inputs.data.others.spaces))
      has_texts[static_cast<size_t>(space)] = true;
  }
  std::vector<std::string> missing;
  for (size_t e = 0; e < inputs.labels.size(); ++e) {
    const auto space = static_cast<size_t>(inputs.labels[e].space);
    const std::string& name = inputs.all_labels.spaces()[space].name;
    if (!has_texts[space] && std::ranges::find(missing, name) == missing.end())
      missing.push_back(name);
  }
  if (missing.empty()) return;
  log.warning(
      fmt::format("no text is of {}: this gate learns that none ever is, and hardly asks "
                  "the experts there",
                  fmt::join(missing, ", ")),
      "give the training data of every domain: --data-dir with a folder for each, or --data "
      "NAME=FILE for each");
}

}  // namespace

GateProblem GateInputs::problem(const RunContext& context, at::Device device) const {
  GateProblem problem(data, labels, all_labels, features, options.fusion, options.top_k,
                      context.log, device);
  if (options.gate != GateKind::kFactored) return problem;
  problem.share_spaces(options.seed, options.guard, context.stop);
  for (const ShareGuard& guard : problem.share_guards())
    context.log.note(description(guard, experts[static_cast<size_t>(guard.expert)]));
  if (const std::optional<SpaceRows>& rows = problem.space_rows()) {
    context.log.note(fmt::format(
        "{} texts are few for {} features: the fit sets out from linear discriminants between the "
        "label spaces (shrinkage {:g}, scale {:.2g})",
        rows->texts, problem.z().size(1), rows->shrinkage, rows->scale));
  }
  return problem;
}

GateInputs collect_gate_inputs(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                               const GateTrainingOptions& options,
                               const std::optional<std::vector<encoder::PooledKey>>& features) {
  validate(options);
  pool.require_experts();
  pool.warn_of_edits();
  if (pool.encoder() == nullptr) {
    throw Error("E_ENCODER", "the gate reads encoder features, but registry.toml names no encoder",
                "set [encoder] path in registry.toml");
  }
  GateInputs inputs;
  inputs.options = options;
  inputs.all_labels = pool.labels();
  for (const pipeline::InstalledExpert& expert : pool.experts()) {
    inputs.experts.push_back(expert.name);
    inputs.labels.push_back(expert.labels);
  }
  const encoder::BertConfig& encoder = pool.encoder()->config();
  inputs.features = features ? *features : gate_features(options, encoder.layers);
  const bool by_lbfgs = options.optimizer == GateOptimizer::kLbfgs;
  const GateWarmUp warm_up(
      by_lbfgs ? encoder::to_torch(pool.options().compute.device) : at::Device(encoder::kHost),
      std::ssize(inputs.features) * encoder.hidden);
  inputs.data = collect_gate_data(pool, datasets, inputs.features, options.cross_fitted);
  warn_of_spaces_without_texts(inputs, pool.context().log);
  if (options.calibrate) {
    inputs.calibration =
        calibrate(inputs.data.held_out.targets, inputs.data.held_out.logits, inputs.labels);
    report_calibration(inputs, pool.context().log);
  }
  inputs.options.prior.clear();
  if (options.prior_source != "uniform") {
    inputs.options.prior = make_prior(options.prior_source, inputs.experts, inputs.labels,
                                      inputs.all_labels, inputs.data);
  }
  return inputs;
}

}  // namespace moecollab::training
