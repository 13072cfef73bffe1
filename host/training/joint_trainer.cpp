#include "training/joint_trainer.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>

#include "base/console.h"
#include "base/error.h"
#include "experts/autograd.h"
#include "experts/host_services.h"
#include "training/adamw.h"
#include "training/expert_trainer.h"
#include "training/schedule.h"
#include "training/shuffle.h"

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
               const fusion::LabelUnion& labels, const JointOptions& options)
      : experts_(experts),
        domains_(domains),
        labels_(labels),
        options_(options),
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

  // Mean task loss over the texts.
  double epoch(int32_t number) {
    const auto n = static_cast<int64_t>(texts_.size());
    const int64_t steps = (n + options_.batch - 1) / options_.batch;
    const std::vector<int64_t> order = shuffled(n, options_.seed, number);
    const Schedule schedule{.lr = options_.gate_lr, .warmup = 0.1, .linear_decay = true};
    double sum = 0;
    for (int64_t step = 0; step < steps; ++step) {
      if (experts::stop_requested())
        throw Error("E_INTERRUPTED", "training was interrupted; nothing was installed");
      std::vector<std::vector<int64_t>> rows(domains_.size());
      const int64_t first = step * options_.batch, last = std::min(n, first + options_.batch);
      for (int64_t i = first; i < last; ++i) {
        const Place& place = texts_[static_cast<size_t>(order[static_cast<size_t>(i)])];
        rows[place.domain].push_back(place.row);
      }
      optimiser_->set_lr(schedule.at(number * steps + step, steps * options_.epochs));
      sum += this->step(rows, number * steps + step) * static_cast<double>(last - first);
    }
    return sum / static_cast<double>(n);
  }

  JointEpoch judge(JointFit& fit) {
    const at::NoGradGuard no_grad;
    JointEpoch result;
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
    return result;
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

  double step(const std::vector<std::vector<int64_t>>& rows, int64_t number) {
    std::vector<at::Tensor> router;
    at::Tensor task;
    double total = 0;
    for (const auto& own : rows) total += static_cast<double>(own.size());
    for (size_t d = 0; d < rows.size(); ++d) {
      if (rows[d].empty()) continue;
      const at::Tensor index = encoder::index_tensor(rows[d]);
      router.push_back(gate_.forward(z_[d].index_select(0, index)));
      const std::vector<at::Tensor> logits = answers(d, rows[d], [&](const JointExpert& e) {
        return experts::differentiable_forward(*e.expert, domains_[d].features.select(rows[d]),
                                               mixed(options_.seed, static_cast<uint64_t>(number)));
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
      throw Error(
          "E_TRAIN_DIVERGED",
          fmt::format("the gradient of step {} is not finite; nothing was installed", number + 1),
          "use a smaller --lr-scale");
    }
    optimiser_->clip(norm, options_.clip);
    optimiser_->step();
    for (const JointExpert& expert : experts_) expert.expert->params_changed();
    return task.item<double>();
  }

  const std::vector<JointExpert>& experts_;
  const std::vector<JointDomain>& domains_;
  const fusion::LabelUnion& labels_;
  const JointOptions& options_;
  at::Tensor prior_;
  gate::BalanceWindow window_;
  std::vector<Place> texts_;
  gate::Gate gate_;
  std::vector<at::Tensor> z_;  // by domain, standardised
  std::vector<fusion::ExpertLabels> labels_of_;
  std::optional<AdamW> optimiser_;
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
    throw Error("E_CONFIG", fmt::format("--epochs is {}, expected 1 to 1000", options.epochs));
}

JointFit fit_jointly(const std::vector<JointExpert>& experts,
                     const std::vector<JointDomain>& domains,
                     const std::vector<encoder::PooledKey>& gate_features,
                     const fusion::LabelUnion& labels, const JointOptions& options) {
  validate(options);
  JointFitting fitting(experts, domains, gate_features, labels, options);
  JointFit fit;
  Values best;
  double best_loss = std::numeric_limits<double>::infinity();
  std::vector<std::vector<at::Tensor>> best_logits;
  Progress progress("training jointly", options.epochs, "epochs");
  for (int32_t number = 0; number < options.epochs; ++number) {
    const double train_loss = fitting.epoch(number);
    JointEpoch epoch = fitting.judge(fit);
    epoch.train_loss = train_loss;
    fit.history.push_back(epoch);
    progress.advance(1, fmt::format("held-out loss {:.4f}, accuracy {:.4f}", epoch.held_out_loss,
                                    epoch.held_out_accuracy));
    if (epoch.held_out_loss >= best_loss) continue;
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
