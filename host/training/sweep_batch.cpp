#include "training/sweep_batch.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/measure.h"
#include "training/batched_lbfgs.h"
#include "training/step_guard.h"

namespace moecollab::training {
namespace {

// One point's fit.
struct Fit {
  double best = std::numeric_limits<double>::infinity();  // objective on the validation fifth
  int32_t epochs = 0;                                     // there
  bool found = false;
  StepGuard guard;
  std::string failure;
};

class PointFits {
 public:
  PointFits(const GateProblem& problem, const GateTrainingOptions& options,
            std::span<const SweepPoint> points, StopToken stop);
  std::vector<SweepResult> run();

 private:
  struct Texts {
    at::Tensor index;  // of the held-out texts
    GateProblem::Inputs inputs;
  };
  struct Lambdas {
    at::Tensor first, second;  // of some points
  };
  Texts texts(std::span<const int64_t> rows) const;
  Lambdas lambdas(const at::Tensor& which) const;
  gate::Gate gates(const at::Tensor& x) const;
  at::Tensor objective(const gate::Gate& gates, const Texts& texts, const Lambdas& lambdas,
                       bool with_routing) const;
  BatchedLbfgs::Evaluation evaluate(const at::Tensor& x, const at::Tensor& which) const;
  // Objective on the validation fifth of those points, whose parameters are x.
  std::vector<double> validate(const at::Tensor& x, std::span<const int64_t> which);
  void choose(std::span<const int64_t> which, const at::Tensor& x, int32_t epoch);
  bool count_bad_steps(int64_t steps, int32_t epoch, Fit& fit) const;
  std::vector<SweepResult> results();

  const GateProblem& problem_;
  const GateTrainingOptions& options_;
  std::span<const SweepPoint> points_;
  StopToken stop_;
  ValidationSplit split_;
  Texts fitted_, validation_;
  at::Tensor prior_;              // [E]
  at::Tensor lambda1_, lambda2_;  // [P]
  at::Tensor all_others_;         // [M] int64
  double routing_share_;
  gate::Gate start_;
  at::Tensor best_x_;  // [P, n]
  std::vector<Fit> fits_;
};

at::Tensor flat(gate::Gate gate) {
  std::vector<at::Tensor> parts;
  for (const at::Tensor* tensor : gate.parameters()) parts.push_back(tensor->flatten());
  return at::cat(parts).to(at::kDouble);
}

PointFits::PointFits(const GateProblem& problem, const GateTrainingOptions& options,
                     std::span<const SweepPoint> points, StopToken stop)
    : problem_(problem),
      options_(options),
      points_(points),
      stop_(stop),
      split_(required_split(problem, options)),
      fitted_(texts(split_.rest)),
      validation_(texts(split_.validation)),
      prior_(prior_tensor(options, static_cast<int64_t>(problem.experts().size()))
                 .to(problem.device())),
      all_others_(at::arange(problem.routing_texts(), fitted_.index.options())),
      start_(problem.start()),
      fits_(points.size()) {
  const auto m = static_cast<double>(problem.routing_texts());
  routing_share_ = m / (m + static_cast<double>(split_.rest.size()));
  std::vector<float> first, second;
  for (const SweepPoint& point : points) {
    first.push_back(static_cast<float>(point.lambda1));
    second.push_back(static_cast<float>(point.lambda2));
  }
  lambda1_ = at::tensor(first).to(problem.device());
  lambda2_ = at::tensor(second).to(problem.device());
  if (options.gate == GateKind::kMlp) gate::add_hidden_layer(start_, options.hidden, options.seed);
  best_x_ = flat(start_).repeat({std::ssize(points), 1});
}

PointFits::Texts PointFits::texts(std::span<const int64_t> rows) const {
  const at::Tensor index = encoder::index_tensor(rows, problem_.device());
  return {index, problem_.inputs().rows(index)};
}

PointFits::Lambdas PointFits::lambdas(const at::Tensor& which) const {
  return {lambda1_.index_select(0, which), lambda2_.index_select(0, which)};
}

// The gates with the parameters x [R, n], side by side.
gate::Gate PointFits::gates(const at::Tensor& x) const {
  gate::Gate gates = start_;
  int64_t offset = 0;
  for (at::Tensor* tensor : gates.parameters()) {
    std::vector<int64_t> shape = {x.size(0)};
    shape.insert(shape.end(), tensor->sizes().begin(), tensor->sizes().end());
    const int64_t count = tensor->numel();
    *tensor = x.narrow(1, offset, count).reshape(shape);
    offset += count;
  }
  return gates;
}

// [R]; `with_routing` as GateFitting's loss has it.
at::Tensor PointFits::objective(const gate::Gate& gates, const Texts& texts, const Lambdas& lambdas,
                                bool with_routing) const {
  const at::Tensor router = texts.inputs.router_logits(gates);
  const gate::Objective terms =
      gate::objective(problem_.task_loss(router, texts.index), router, prior_, options_.objective);
  const at::Tensor total = gate::total(terms, lambdas.first, lambdas.second, options_.objective);
  if (!with_routing || problem_.routing_texts() == 0) return total;
  const at::Tensor routing =
      problem_.routing_loss(problem_.routing_inputs().router_logits(gates), all_others_);
  return total + (routing - terms.task) * routing_share_;
}

BatchedLbfgs::Evaluation PointFits::evaluate(const at::Tensor& x, const at::Tensor& which) const {
  stop_.throw_if_requested("sweeping was interrupted");
  return BatchedLbfgs::differentiated(x, [&](const at::Tensor& parameters) {
    gate::Gate all = gates(parameters);
    at::Tensor value = objective(all, fitted_, lambdas(which), /*with_routing=*/true);
    const double decay = options_.weight_decay / (2 * static_cast<double>(split_.rest.size()));
    for (const at::Tensor* tensor : all.parameters()) {
      const bool decays = tensor->dim() == 3;  // biases do not
      if (decays) value = value + tensor->square().sum({1, 2}) * decay;
    }
    return value;
  });
}

std::vector<double> PointFits::validate(const at::Tensor& x, std::span<const int64_t> which) {
  const at::NoGradGuard no_grad;
  const at::Tensor index = encoder::index_tensor(which, problem_.device());
  return encoder::to_doubles(objective(gates(x.to(at::kFloat)), validation_, lambdas(index),
                                       /*with_routing=*/false));
}

// Keeps the parameters of those whose objective on the validation fifth has fallen. x [P, n].
void PointFits::choose(std::span<const int64_t> which, const at::Tensor& x, int32_t epoch) {
  const at::Tensor index = encoder::index_tensor(which, problem_.device());
  const std::vector<double> totals = validate(x.index_select(0, index), which);
  std::vector<int64_t> better;
  for (size_t i = 0; i < totals.size(); ++i) {
    Fit& fit = fits_[static_cast<size_t>(which[i])];
    if (!(totals[i] < fit.best)) continue;
    fit.best = totals[i];
    fit.epochs = epoch;
    fit.found = true;
    better.push_back(which[i]);
  }
  if (better.empty()) return;
  const at::Tensor rows = encoder::index_tensor(better, problem_.device());
  best_x_.index_copy_(0, rows, x.index_select(0, rows));
}

// False if the fit ends by them.
bool PointFits::count_bad_steps(int64_t steps, int32_t epoch, Fit& fit) const {
  for (int64_t i = 0; i < steps; ++i) {
    if (!fit.guard.skipped()) continue;
    fit.failure = fmt::format(
        "{} steps in a row had a loss or gradient that is not finite, in epoch {} of the gate",
        fit.guard.in_a_row(), epoch);
    return false;
  }
  fit.guard.taken();
  return true;
}

std::vector<SweepResult> PointFits::run() {
  const Stopwatch watch;
  BatchedLbfgs search(
      best_x_, [this](const at::Tensor& x, const at::Tensor& which) { return evaluate(x, which); });
  std::vector<int64_t> active;
  for (int64_t p = 0; p < std::ssize(points_); ++p) {
    if (std::isfinite(search.value(p))) {
      active.push_back(p);
    } else {
      fits_[static_cast<size_t>(p)].failure = "the loss of the uniform gate is not finite";
    }
  }
  if (problem_.space_rows() && !active.empty()) choose(active, search.x(), 0);
  for (int32_t epoch = 1; epoch <= options_.epochs && !active.empty(); ++epoch) {
    const std::vector<bool> fell = search.step(active);
    choose(active, search.x(), epoch);
    std::vector<int64_t> next;
    for (size_t i = 0; i < active.size(); ++i) {
      Fit& fit = fits_[static_cast<size_t>(active[i])];
      const bool goes_on = count_bad_steps(search.not_finite_in_step(active[i]), epoch, fit) &&
                           fell[i] && epoch - fit.epochs < options_.patience;
      if (goes_on) next.push_back(active[i]);
    }
    active = std::move(next);
  }
  std::vector<SweepResult> found = results();
  for (SweepResult& result : found)
    result.seconds = watch.seconds() / static_cast<double>(found.size());
  return found;
}

std::vector<SweepResult> PointFits::results() {
  const at::NoGradGuard no_grad;
  std::vector<SweepResult> found(points_.size());
  std::vector<at::Tensor> routers;
  std::vector<gate::ObjectiveOptions> objectives;
  std::vector<size_t> judged;
  const at::Tensor all =
      validation_.inputs.router_logits(gates(best_x_.to(at::kFloat))).to(encoder::kHost);
  for (size_t p = 0; p < points_.size(); ++p) {
    Fit& fit = fits_[p];
    found[p].point = points_[p];
    if (fit.failure.empty() && !fit.found)
      fit.failure = "the objective was finite on the validation texts in no epoch";
    found[p].failure = fit.failure;
    if (!fit.failure.empty()) continue;
    found[p].epochs = fit.epochs;
    found[p].skipped_steps = fit.guard.count();
    judged.push_back(p);
    routers.push_back(all[static_cast<int64_t>(p)]);
    objectives.push_back(options_.objective);
    objectives.back().lambda1 = points_[p].lambda1;
    objectives.back().lambda2 = points_[p].lambda2;
  }
  const std::vector<GateJudgement> judgements =
      judge_on_host(problem_, split_.validation, routers, objectives, prior_);
  for (size_t i = 0; i < judged.size(); ++i) found[judged[i]].judged = judgements[i];
  return found;
}

}  // namespace

std::vector<SweepResult> fit_together(const GateProblem& problem,
                                      const GateTrainingOptions& options,
                                      std::span<const SweepPoint> points, StopToken stop) {
  return PointFits(problem, options, points, stop).run();
}

}  // namespace moecollab::training
