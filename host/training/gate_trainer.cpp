#include "training/gate_trainer.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/console.h"
#include "base/error.h"
#include "experts/host_services.h"
#include "training/adamw.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

// Σ over texts of −log of the gate's mass on the experts of their own space.
at::Tensor routing_loss(const gate::Gate& gate, const at::Tensor& z, const at::Tensor& spaces,
                        const at::Tensor& space_mask) {
  const at::Tensor log_g = at::log_softmax(gate.router_logits(z), -1);
  return -(log_g + space_mask.index_select(0, spaces)).logsumexp(-1).sum();
}

// [spaces, E]: 0 where the expert answers in the space, else −∞.
at::Tensor make_space_mask(const std::vector<fusion::ExpertLabels>& experts,
                           const fusion::LabelUnion& labels) {
  at::Tensor mask =
      at::full({static_cast<int64_t>(labels.spaces().size()), static_cast<int64_t>(experts.size())},
               -std::numeric_limits<float>::infinity());
  for (size_t e = 0; e < experts.size(); ++e)
    mask[experts[e].space][static_cast<int64_t>(e)] = 0.0F;
  return mask;
}

// Loss terms of one batch of held-out rows.
gate::Objective batch_objective(const GateData& data, const at::Tensor& rows,
                                const gate::Gate& gate,
                                const std::vector<fusion::ExpertLabels>& experts,
                                const fusion::LabelUnion& labels,
                                const GateTrainingOptions& options) {
  const at::Tensor router = gate.router_logits(data.z.index_select(0, rows));
  std::vector<at::Tensor> logits;
  for (const at::Tensor& all : data.logits) logits.push_back(all.index_select(0, rows));
  const at::Tensor fused = fusion::fuse(
      options.fusion, gate::routing_weights(router, options.top_k), logits, experts, labels);
  const at::Tensor task =
      fusion::task_loss(options.fusion, fused, data.targets.index_select(0, rows), labels);
  const auto count = static_cast<int64_t>(experts.size());
  return gate::objective(task, router, at::full({count}, 1.0 / static_cast<double>(count)),
                         options.objective);
}

// A gate being fitted on some rows of the data.
class Fitting {
 public:
  Fitting(const GateData& data, const std::vector<fusion::ExpertLabels>& experts,
          const fusion::LabelUnion& labels, const std::vector<encoder::PooledKey>& features,
          const GateTrainingOptions& options, std::vector<int64_t> rows)
      : data_(data),
        experts_(experts),
        labels_(labels),
        options_(options),
        rows_(std::move(rows)),
        space_mask_(make_space_mask(experts, labels)),
        not_held_out_(routed_share(data, options, rows_)),
        gate_(gate::make_gate(features, data.z.index_select(0, encoder::index_tensor(rows_)),
                              static_cast<int64_t>(experts.size()))),
        optimiser_(parameters(), {.lr = options.lr, .weight_decay = options.weight_decay}) {}

  // One pass over the rows; means of the terms go into `fit`.
  void epoch(GateFit& fit) {
    const auto n = static_cast<int64_t>(rows_.size());
    std::vector<int64_t> order;
    for (const int64_t i : shuffled(n, options_.seed, epoch_++))
      order.push_back(rows_[static_cast<size_t>(i)]);
    const at::Tensor routing =
        encoder::index_tensor(shuffled(data_.routing_z.size(0), options_.seed, epoch_));
    fit.task = fit.entropy = fit.balance = fit.total = 0;
    for (int64_t first = 0; first < n; first += options_.batch) {
      const auto count = static_cast<size_t>(std::min(options_.batch, n - first));
      const gate::Objective terms = objective({order.data() + first, count});
      (terms.total + routing_share(first, static_cast<int64_t>(count), n, routing) -
       not_held_out_ * terms.task)
          .backward();
      optimiser_.step();
      const double share = static_cast<double>(count) / static_cast<double>(n);
      fit.task += share * terms.task.item<double>();
      fit.entropy += share * terms.entropy.item<double>();
      fit.balance += share * terms.balance.item<double>();
      fit.total += share * terms.total.item<double>();
    }
    if (experts::stop_requested())
      throw Error("E_INTERRUPTED", "fitting was interrupted; the old gate is unchanged");
    if (!std::isfinite(fit.total)) {
      throw Error("E_TRAIN_DIVERGED",
                  fmt::format("the gate's loss is not finite in epoch {}", epoch_),
                  "use smaller λ or --lr");
    }
  }

  // Terms on other rows, without learning.
  gate::Objective judge(const std::vector<int64_t>& rows) const {
    const at::NoGradGuard no_grad;
    return objective(rows);
  }

  gate::Gate take() {
    gate_.weight = gate_.weight.detach();
    gate_.bias = gate_.bias.detach();
    return std::move(gate_);
  }

 private:
  static double routed_share(const GateData& data, const GateTrainingOptions& options,
                             const std::vector<int64_t>& rows) {
    const double m = fusion::is_task_agnostic(options.fusion)
                         ? static_cast<double>(data.routing_z.size(0))
                         : 0.0;
    return m / (m + static_cast<double>(rows.size()));
  }
  std::vector<AdamW::Parameter> parameters() {
    std::vector<AdamW::Parameter> result;
    for (at::Tensor* tensor : {&gate_.weight, &gate_.bias}) {
      tensor->requires_grad_(true);
      tensor->mutable_grad() = at::zeros_like(*tensor);
      result.push_back({*tensor, tensor->mutable_grad(), tensor == &gate_.weight});
    }
    return result;
  }
  // The part of L_task that the texts outside the hold-out make up in the batch of held-out rows
  // [first, first + count) of n: as many of them as is in proportion.
  at::Tensor routing_share(int64_t first, int64_t count, int64_t n, const at::Tensor& order) const {
    const int64_t m = order.size(0), begin = first * m / n, end = (first + count) * m / n;
    if (not_held_out_ == 0 || begin == end) return at::zeros({});
    const at::Tensor rows = order.narrow(0, begin, end - begin);
    return routing_loss(gate_, data_.routing_z.index_select(0, rows),
                        data_.routing_spaces.index_select(0, rows), space_mask_) *
           (not_held_out_ / static_cast<double>(end - begin));
  }
  gate::Objective objective(std::span<const int64_t> rows) const {
    return batch_objective(data_, encoder::index_tensor(rows), gate_, experts_, labels_, options_);
  }

  const GateData& data_;
  const std::vector<fusion::ExpertLabels>& experts_;
  const fusion::LabelUnion& labels_;
  const GateTrainingOptions& options_;
  std::vector<int64_t> rows_;
  at::Tensor space_mask_;
  double not_held_out_ = 0;  // share of the texts whose routing alone is learnt
  gate::Gate gate_;
  AdamW optimiser_;
  int64_t epoch_ = 0;
};

}  // namespace

void validate(const GateTrainingOptions& options) {
  gate::validate(options.objective);
  const auto refuse = [](const char* option, auto value, const char* expected) {
    throw Error("E_CONFIG", fmt::format("--{} is {}, expected {}", option, value, expected));
  };
  if (options.epochs < 1 || options.epochs > 100'000)
    refuse("epochs", options.epochs, "1 to 100000");
  if (!(options.lr > 0) || !std::isfinite(options.lr)) refuse("lr", options.lr, "a number > 0");
  if (!(options.weight_decay >= 0) || !std::isfinite(options.weight_decay)) {
    refuse("weight-decay", options.weight_decay, "a number >= 0");
  }
  if (options.batch < 1) refuse("batch", options.batch, "at least 1");
  if (options.top_k < 0) refuse("top-k", options.top_k, "0 (all) or more");
}

GateFit fit_gate(const GateData& data, const std::vector<fusion::ExpertLabels>& experts,
                 const fusion::LabelUnion& labels, const std::vector<encoder::PooledKey>& features,
                 const GateTrainingOptions& options) {
  validate(options);
  constexpr int64_t kValidationStream = -1;  // an epoch number that no training epoch has
  const std::vector<int64_t> all = shuffled(data.z.size(0), options.seed, kValidationStream);
  const auto fifth = static_cast<int64_t>(all.size()) / 5;
  const std::vector<int64_t> validation(all.begin(), all.begin() + fifth),
      rest(all.begin() + fifth, all.end());

  GateFit fit;
  fit.texts = data.z.size(0);
  fit.epochs = options.epochs;
  if (!validation.empty()) {
    Fitting fitting(data, experts, labels, features, options, rest);
    Progress progress("choosing the epochs", options.epochs, "epochs");
    double best = std::numeric_limits<double>::infinity();
    for (int32_t epoch = 1; epoch <= options.epochs; ++epoch) {
      fitting.epoch(fit);
      const gate::Objective judged = fitting.judge(validation);
      if (judged.total.item<double>() < best) {
        best = judged.total.item<double>();
        fit.validation_task = judged.task.item<double>();
        fit.epochs = epoch;
      } else if (epoch - fit.epochs >= options.patience) {
        break;
      }
      progress.advance(1, fmt::format("loss {:.4f}", best));
    }
  }
  Fitting fitting(data, experts, labels, features, options, all);
  Progress progress("fitting the gate", fit.epochs, "epochs");
  for (int32_t epoch = 0; epoch < fit.epochs; ++epoch) {
    fitting.epoch(fit);
    progress.advance(1, fmt::format("loss {:.4f}", fit.total));
  }
  fit.gate = fitting.take();
  return fit;
}

}  // namespace moecollab::training
