#include "training/gate_trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/measure.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

at::Tensor prior_of(const GateProblem& problem, const GateTrainingOptions& options) {
  return prior_tensor(options, static_cast<int64_t>(problem.experts().size()));
}

// One epoch of `fitting`, judged and timed.
GateEpoch run_epoch(GateFitting& fitting, const GateProblem& problem,
                    const GateTrainingOptions& options, std::span<const int64_t> validation) {
  const Stopwatch watch;
  GateEpoch epoch;
  epoch.terms = fitting.epoch();
  if (!validation.empty()) {
    epoch.judged =
        judge(problem, fitting.gate(), options.objective, prior_of(problem, options), validation);
  }
  epoch.skipped_steps = fitting.skipped_steps();
  epoch.seconds = watch.seconds();
  epoch.peak_rss_bytes = peak_rss_bytes();
  return epoch;
}

void refit(const GateProblem& problem, const GateTrainingOptions& options,
           const RunContext& context, GateFit& fit) {
  std::vector<int64_t> all(static_cast<size_t>(problem.texts()));
  std::iota(all.begin(), all.end(), int64_t{0});
  const std::vector<int64_t> validation =
      validation_split(problem.texts(), options.seed).validation;
  GateFitting fitting(problem, options, all, context.stop);
  Progress progress = context.progress("fitting the gate", "epoch", fit.epochs);
  for (int32_t number = 1; number <= fit.epochs; ++number) {
    GateEpoch epoch = run_epoch(fitting, problem, options, validation);
    epoch.refit = true;
    epoch.epoch = number;
    epoch.texts = problem.texts();
    fit.task = epoch.terms.task;
    fit.entropy = epoch.terms.entropy;
    fit.balance = epoch.terms.balance;
    fit.total = epoch.terms.total;
    progress.advance(1, fmt::format("loss {:.4f}", fit.total));
    fit.history.push_back(std::move(epoch));
    if (fitting.converged()) break;
  }
  if (fit.epochs == 0) {  // the start is not bettered
    const GateJudgement judged =
        judge(problem, problem.start(), options.objective, prior_of(problem, options), all);
    fit.task = judged.task;
    fit.entropy = judged.entropy;
    fit.balance = judged.balance;
    fit.total = judged.total;
  }
  fit.skipped_steps += fitting.skipped_steps();
  fit.gate = fitting.gate();
}

}  // namespace

ValidationSplit validation_split(int64_t n, uint64_t seed) {
  constexpr int64_t kValidationStream = -1;  // an epoch number that no training epoch has
  const std::vector<int64_t> all = shuffled(n, seed, kValidationStream);
  return {{all.begin(), all.begin() + n / 5}, {all.begin() + n / 5, all.end()}};
}

ChosenGate choose_gate(const GateProblem& problem, const GateTrainingOptions& options,
                       StopToken stop, const EpochSink& sink) {
  const auto [validation, rest] = validation_split(problem.texts(), options.seed);
  if (validation.empty()) {
    throw Error("E_DATA",
                fmt::format("{} held-out texts are too few to choose on: at least 5 are needed",
                            problem.texts()));
  }
  GateFitting fitting(problem, options, rest, stop);
  ChosenGate chosen;
  double best = std::numeric_limits<double>::infinity();
  if (problem.space_rows()) {
    chosen.gate = problem.start();
    chosen.judged =
        judge(problem, chosen.gate, options.objective, prior_of(problem, options), validation);
    if (std::isfinite(chosen.judged.total)) best = chosen.judged.total;
  }
  for (int32_t number = 1; number <= options.epochs; ++number) {
    GateEpoch epoch = run_epoch(fitting, problem, options, validation);
    epoch.epoch = number;
    epoch.texts = static_cast<int64_t>(rest.size());
    if (epoch.judged->total < best) {
      best = epoch.judged->total;
      chosen.gate = fitting.gate();
      chosen.epochs = number;
      chosen.judged = *epoch.judged;
    }
    if (sink) sink(epoch);
    if (fitting.converged() || number - chosen.epochs >= options.patience) break;
  }
  chosen.skipped_steps = fitting.skipped_steps();
  if (!chosen.gate.weight.defined()) {
    throw Error("E_TRAIN_DIVERGED",
                "the objective was finite on the validation texts in no epoch; nothing was written",
                "use smaller weights of the objective's terms, or a smaller --lr");
  }
  return chosen;
}

GateFit fit_gate(const GateProblem& problem, const GateTrainingOptions& options,
                 const RunContext& context) {
  validate(options);
  GateFit fit;
  fit.texts = problem.texts();
  fit.epochs = options.epochs;
  if (problem.texts() >= 5) {
    Progress progress = context.progress("choosing the epochs", "epoch", options.epochs);
    const ChosenGate chosen =
        choose_gate(problem, options, context.stop, [&](const GateEpoch& epoch) {
          progress.advance(1, fmt::format("loss {:.4f}", epoch.judged->total));
          fit.history.push_back(epoch);
        });
    fit.epochs = chosen.epochs;
    fit.validation_task = chosen.judged.task;
    fit.skipped_steps = chosen.skipped_steps;
  }
  refit(problem, options, context, fit);
  fit.gate = gate::moved(fit.gate, encoder::kHost);
  return fit;
}

}  // namespace moecollab::training
