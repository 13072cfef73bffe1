#include "training/gate_trainer.h"

#include <fmt/format.h>

#include <cmath>

#include "base/console.h"
#include "base/error.h"
#include "experts/host_services.h"
#include "training/adamw.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

// Loss terms of one batch of rows.
gate::Objective batch_objective(const GateData& data, const at::Tensor& rows, const gate::Gate& gate,
                                const std::vector<fusion::ExpertLabels>& experts, const fusion::LabelUnion& labels,
                                const GateTrainingOptions& options) {
  const at::Tensor router = gate.router_logits(data.z.index_select(0, rows));
  std::vector<at::Tensor> logits;
  for (const at::Tensor& all : data.logits) logits.push_back(all.index_select(0, rows));
  const at::Tensor fused =
      fusion::fuse(options.fusion, gate::routing_weights(router, options.top_k), logits, experts, labels);
  const at::Tensor task = fusion::task_loss(options.fusion, fused, data.targets.index_select(0, rows), labels);
  const auto count = static_cast<int64_t>(experts.size());
  return gate::objective(task, router, at::full({count}, 1.0 / static_cast<double>(count)), options.objective);
}

}  // namespace

void validate(const GateTrainingOptions& options) {
  gate::validate(options.objective);
  const auto refuse = [](const char* option, auto value, const char* expected) {
    throw Error("E_CONFIG", fmt::format("--{} is {}, expected {}", option, value, expected));
  };
  if (options.epochs < 1 || options.epochs > 100'000) refuse("epochs", options.epochs, "1 to 100000");
  if (!(options.lr > 0) || !std::isfinite(options.lr)) refuse("lr", options.lr, "a number > 0");
  if (options.batch < 1) refuse("batch", options.batch, "at least 1");
  if (options.top_k < 0) refuse("top-k", options.top_k, "0 (all) or more");
}

GateFit fit_gate(const GateData& data, const std::vector<fusion::ExpertLabels>& experts, const fusion::LabelUnion& labels,
                 const encoder::PooledKey& feature, const GateTrainingOptions& options) {
  validate(options);
  GateFit fit;
  fit.texts = data.z.size(0);
  fit.gate = gate::make_gate(feature, data.z, static_cast<int64_t>(experts.size()));
  fit.gate.weight.requires_grad_(true);
  fit.gate.bias.requires_grad_(true);
  fit.gate.weight.mutable_grad() = at::zeros_like(fit.gate.weight);
  fit.gate.bias.mutable_grad() = at::zeros_like(fit.gate.bias);
  AdamW optimiser({{fit.gate.weight, fit.gate.weight.mutable_grad(), true}, {fit.gate.bias, fit.gate.bias.mutable_grad(), false}},
                  {.lr = options.lr, .weight_decay = options.weight_decay});

  Progress progress("fitting the gate", options.epochs, "epochs");
  for (int32_t epoch = 0; epoch < options.epochs; ++epoch) {
    const at::Tensor order = encoder::index_tensor(shuffled(fit.texts, options.seed, epoch));
    fit.task = fit.entropy = fit.balance = fit.total = 0;
    for (int64_t first = 0; first < fit.texts; first += options.batch) {
      const int64_t count = std::min(options.batch, fit.texts - first);
      const gate::Objective terms = batch_objective(data, order.narrow(0, first, count), fit.gate, experts, labels, options);
      terms.total.backward();
      optimiser.step();
      const double share = static_cast<double>(count) / static_cast<double>(fit.texts);
      fit.task += share * terms.task.item<double>();
      fit.entropy += share * terms.entropy.item<double>();
      fit.balance += share * terms.balance.item<double>();
      fit.total += share * terms.total.item<double>();
    }
    if (experts::stop_requested()) throw Error("E_INTERRUPTED", "fitting was interrupted; the old gate is unchanged");
    if (!std::isfinite(fit.total)) {
      throw Error("E_TRAIN_DIVERGED", fmt::format("the gate's loss is not finite in epoch {}", epoch + 1), "use smaller λ or --lr");
    }
    progress.advance(1, fmt::format("loss {:.4f}", fit.total));
  }
  fit.gate.weight = fit.gate.weight.detach();
  fit.gate.bias = fit.gate.bias.detach();
  return fit;
}

}  // namespace moecollab::training
