#include "training/joint_trainer.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "experts/autograd.h"
#include "training/adamw.h"
#include "training/expert_trainer.h"
#include "training/learner.h"
#include "training/schedule.h"
#include "training/shuffle.h"
#include "training/step_guard.h"

namespace moecollab::training {
namespace {

constexpr fusion::Mode kMode = fusion::Mode::kMixture;

// A text: its domain and its row there.
struct Place {
  size_t domain;
  int64_t row;
};

class JointFitting {
 public:
  JointFitting(const std::vector<JointExpert>& experts, const std::vector<JointDomain>& domains,
               const std::vector<encoder::PooledKey>& gate_features,
               const fusion::LabelUnion& labels, const JointOptions& options, StopToken stop)
      : experts_(experts),
        domains_(domains),
        labels_(labels),
        options_(options),
        stop_(stop),
        prior_(at::full({static_cast<int64_t>(experts.size())},
                        1.0 / static_cast<double>(experts.size()))),
        window_(options.objective.balance_window) {
    std::vector<at::Tensor> z;
    for (size_t d = 0; d < domains.size(); ++d) {
      for (const int64_t row : domains[d].fitted) texts_.push_back({d, row});
      z.push_back(gate::side_by_side(gate_features, domains[d].features));
    }
    gate_ = gate::make_gate(gate_features, at::cat(z), static_cast<int64_t>(experts.size()));
    for (const at::Tensor& own : z) z_.push_back(gate_.standardised(own));
    for (const JointExpert& expert : experts) labels_of_.push_back(expert.labels);
    make_optimiser();
  }

  // Mean task loss over the texts of the steps taken.
  JointEpoch epoch(int32_t number) {
    const auto n = static_cast<int64_t>(texts_.size());
    const int64_t steps = (n + options_.batch - 1) / options_.batch;
    const std::vector<int64_t> order = shuffled(n, options_.seed, number);
    const Schedule schedule{.lr = options_.gate_lr, .warmup = 0.1, .linear_decay = true};
    JointEpoch result;
    double sum = 0, seen = 0;
    for (int64_t step = 0; step < steps; ++step) {
      stop_.throw_if_requested("training was interrupted; nothing was installed");
      std::vector<std::vector<int64_t>> rows(domains_.size());
      const int64_t first = step * options_.batch, last = std::min(n, first + options_.batch);
      for (int64_t i = first; i < last; ++i) {
        const Place& place = texts_[static_cast<size_t>(order[static_cast<size_t>(i)])];
        rows[place.domain].push_back(place.row);
      }
      optimiser_->set_lr(schedule.at(number * steps + step, steps * options_.epochs));
      const auto count = static_cast<double>(last - first);
      if (const auto loss = this->step(rows, number * steps + step)) {
        sum += *loss * count;
        seen += count;
      } else {
        ++result.skipped_steps;
      }
    }
    result.train_loss = sum / seen;
    return result;
  }

  // Fills in what the held-out texts say, and the experts' logits on them.
  void judge(JointEpoch& result, JointFit& fit) {
    const at::NoGradGuard no_grad;
    double loss = 0, right = 0, count = 0;
    fit.held_out_logits.assign(experts_.size(), {});
    for (size_t d = 0; d < domains_.size(); ++d) {
      const JointDomain& domain = domains_[d];
      if (domain.judged.empty()) continue;
      const std::vector<at::Tensor> logits = answers(d, domain.judged, [&](const JointExpert& e) {
        return forward_rows(*e.expert, domain.features, domain.judged);
      });
      for (size_t e = 0; e < experts_.size(); ++e) {
        if (labels_of_[e].space == domain.space) fit.held_out_logits[e].push_back(logits[e]);
      }
      const at::Tensor index = encoder::index_tensor(domain.judged),
                       targets = domain.targets.index_select(0, index);
      const at::Tensor g = at::softmax(gate_.forward(z_[d].index_select(0, index)), -1);
      const at::Tensor fused = fusion::fuse(kMode, g, logits, labels_of_, labels_);
      const auto rows = static_cast<double>(domain.judged.size());
      loss += fusion::task_loss(kMode, fused, targets, labels_).item<double>() * rows;
      right +=
          fusion::predict(kMode, fused, labels_, std::nullopt).eq(targets).sum().item<double>();
      count += rows;
    }
    result.held_out_loss = loss / count;
    result.held_out_accuracy = right / count;
  }

 private:
  void make_optimiser() {
    std::vector<AdamW::Parameter> all;
    for (at::Tensor* tensor : gate_.parameters()) {
      *tensor = tensor->clone().requires_grad_(true);
      tensor->mutable_grad() = at::zeros_like(*tensor);
      all.push_back({*tensor, tensor->mutable_grad(), tensor->dim() == 2});
    }
    for (const JointExpert& expert : experts_) {
      for (const auto& p : expert.expert->parameters()) {
        if (!p.trainable) continue;
        all.push_back({p.value, p.grad, p.decay, p.lr_scale * expert.lr / options_.gate_lr});
      }
    }
    optimiser_.emplace(std::move(all), AdamWOptions{.lr = options_.gate_lr});
  }

  // Logits by expert on rows of one domain; zeros from those of other label spaces, which the
  // fused probability of a label of this one does not depend on.
  template <typename Forward>
  std::vector<at::Tensor> answers(size_t d, const std::vector<int64_t>& rows,
                                  const Forward& forward) const {
    std::vector<at::Tensor> logits;
    for (const JointExpert& expert : experts_) {
      const bool own = expert.labels.space == domains_[d].space;
      logits.push_back(
          own ? forward(expert)
              : at::zeros({static_cast<int64_t>(rows.size()), expert.expert->classes()}));
    }
    return logits;
  }

  // The task loss; nullopt for a step that was skipped.
  std::optional<double> step(const std::vector<std::vector<int64_t>>& rows, int64_t number) {
    std::vector<at::Tensor> router;
    at::Tensor task;
    double total = 0;
    for (const auto& own : rows) total += static_cast<double>(own.size());
    for (size_t d = 0; d < rows.size(); ++d) {
      if (rows[d].empty()) continue;
      const at::Tensor index = encoder::index_tensor(rows[d]);
      router.push_back(gate_.forward(z_[d].index_select(0, index)));
      const std::vector<at::Tensor> logits = answers(d, rows[d], [&](const JointExpert& e) {
        return e.expert->to_logits(
            experts::differentiable_forward(*e.expert, domains_[d].features.select(rows[d]),
                                            mixed(options_.seed, static_cast<uint64_t>(number))));
      });
      const at::Tensor fused =
          fusion::fuse(kMode, at::softmax(router.back(), -1), logits, labels_of_, labels_);
      const at::Tensor part =
          fusion::task_loss(kMode, fused, domains_[d].targets.index_select(0, index), labels_) *
          (static_cast<double>(rows[d].size()) / total);
      task = task.defined() ? task + part : part;
    }
    gate::objective(task, at::cat(router), prior_, options_.objective, &window_).total.backward();
    const double norm = optimiser_->grad_norm();
    if (!std::isfinite(norm)) {
      skip(number);
      return std::nullopt;
    }
    guard_.taken();
    optimiser_->clip(norm, options_.clip);
    optimiser_->step();
    for (const JointExpert& expert : experts_) expert.expert->params_changed();
    return task.item<double>();
  }

  void skip(int64_t number) {
    optimiser_->zero_grad();
    if (!guard_.skipped()) return;
    throw Error("E_TRAIN_DIVERGED",
                fmt::format("the gradient was not finite in {} steps in a row, the last being step "
                            "{}; nothing was installed",
                            guard_.in_a_row(), number + 1),
                "train the experts with a smaller --lr first: --joint takes their rates");
  }

  const std::vector<JointExpert>& experts_;
  const std::vector<JointDomain>& domains_;
  const fusion::LabelUnion& labels_;
  const JointOptions& options_;
  StopToken stop_;
  at::Tensor prior_;
  gate::BalanceWindow window_;
  std::vector<Place> texts_;
  gate::Gate gate_;
  std::vector<at::Tensor> z_;  // by domain, standardised
  std::vector<fusion::ExpertLabels> labels_of_;
  std::optional<AdamW> optimiser_;
  StepGuard guard_;
};

using Values = std::vector<at::Tensor>;

Values values_of(const std::vector<JointExpert>& experts) {
  Values values;
  for (const JointExpert& expert : experts) {
    for (const auto& p : expert.expert->parameters()) values.push_back(p.value.clone());
  }
  return values;
}

void restore(const std::vector<JointExpert>& experts, const Values& values) {
  size_t next = 0;
  for (const JointExpert& expert : experts) {
    for (const auto& p : expert.expert->parameters()) p.value.copy_(values[next++]);
    expert.expert->params_changed();
  }
}

}  // namespace

void validate(const JointOptions& options) {
  gate::validate(options.objective);
  if (options.epochs < 1 || options.epochs > 1000)
    throw Error("E_CONFIG", fmt::format("epochs is {}, expected 1 to 1000", options.epochs));
}

JointFit fit_jointly(const std::vector<JointExpert>& experts,
                     const std::vector<JointDomain>& domains,
                     const std::vector<encoder::PooledKey>& gate_features,
                     const fusion::LabelUnion& labels, const JointOptions& options,
                     const RunContext& context) {
  validate(options);
  if (std::all_of(domains.begin(), domains.end(), [](const auto& d) { return d.judged.empty(); })) {
    throw Error("E_DATA", "no text is held out: there is nothing to choose the epoch on",
                "a label needs two or more texts for one of them to be held out");
  }
  JointFitting fitting(experts, domains, gate_features, labels, options, context.stop);
  JointFit fit;
  Values best;
  double best_loss = std::numeric_limits<double>::infinity();
  std::vector<std::vector<at::Tensor>> best_logits;
  Progress progress = context.progress("training jointly", "epoch", options.epochs);
  for (int32_t number = 0; number < options.epochs; ++number) {
    JointEpoch epoch = fitting.epoch(number);
    fitting.judge(epoch, fit);
    fit.history.push_back(epoch);
    progress.advance(1, fmt::format("held-out loss {:.4f}, accuracy {:.4f}", epoch.held_out_loss,
                                    epoch.held_out_accuracy));
    if (!(epoch.held_out_loss < best_loss)) continue;  // also if it is not a number
    best_loss = epoch.held_out_loss;
    best = values_of(experts);
    best_logits = fit.held_out_logits;
    fit.epochs = number + 1;
  }
  if (fit.epochs == 0) {
    throw Error("E_TRAIN_DIVERGED", "no epoch had a finite held-out loss; nothing was installed");
  }
  restore(experts, best);
  fit.held_out_logits = std::move(best_logits);
  return fit;
}

}  // namespace moecollab::training
