#include "training/gate_trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/measure.h"
#include "training/epoch_judge.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

// An epoch, and which of its judge's gates is that of its end.
struct RunEpoch {
  GateEpoch epoch;
  std::optional<size_t> judgement;
  double validation_total = 0;  // of the objective, if there is a judge
};

// One epoch of `fitting`, judged and timed.
RunEpoch run_epoch(GateFitting& fitting, EpochJudge* judge) {
  const Stopwatch watch;
  RunEpoch run;
  run.epoch.terms = fitting.epoch();
  if (judge != nullptr) {
    run.judgement = judge->count();
    run.validation_total = judge->add(fitting.gate());
  }
  run.epoch.skipped_steps = fitting.skipped_steps();
  run.epoch.seconds = watch.seconds();
  run.epoch.peak_rss_bytes = peak_rss_bytes();
  return run;
}

// What choose() finds, its judgement being one of its judge's.
struct Choice {
  gate::Gate gate;
  int32_t epochs = 0;
  size_t judgement = 0;
  int64_t skipped_steps = 0;
};

using EpochSink = std::function<void(RunEpoch)>;

Choice choose(const GateProblem& problem, const GateTrainingOptions& options,
              const std::vector<int64_t>& rest, StopToken stop, EpochJudge& judge,
              const EpochSink& sink) {
  GateFitting fitting(problem, options, rest, stop);
  Choice chosen;
  double best = std::numeric_limits<double>::infinity();
  if (problem.space_rows()) {
    chosen.gate = problem.start();
    const double total = judge.add(chosen.gate);
    if (std::isfinite(total)) best = total;
  }
  for (int32_t number = 1; number <= options.epochs; ++number) {
    RunEpoch run = run_epoch(fitting, &judge);
    run.epoch.epoch = number;
    run.epoch.texts = std::ssize(rest);
    if (run.validation_total < best) {
      best = run.validation_total;
      chosen.gate = fitting.gate();
      chosen.epochs = number;
      chosen.judgement = *run.judgement;
    }
    if (sink) sink(std::move(run));
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

void refit(const GateProblem& problem, const GateTrainingOptions& options,
           const RunContext& context, EpochJudge* epoch_judge, const EpochSink& sink,
           GateFit& fit) {
  std::vector<int64_t> all(static_cast<size_t>(problem.texts()));
  std::iota(all.begin(), all.end(), int64_t{0});
  GateFitting fitting(problem, options, all, context.stop);
  Progress progress = context.progress("fitting the gate", "epoch", fit.epochs);
  for (int32_t number = 1; number <= fit.epochs; ++number) {
    RunEpoch run = run_epoch(fitting, epoch_judge);
    run.epoch.refit = true;
    run.epoch.epoch = number;
    run.epoch.texts = problem.texts();
    fit.task = run.epoch.terms.task;
    fit.entropy = run.epoch.terms.entropy;
    fit.balance = run.epoch.terms.balance;
    fit.total = run.epoch.terms.total;
    progress.advance(1, fmt::format("loss {:.4f}", fit.total));
    sink(std::move(run));
    if (fitting.converged()) break;
  }
  if (fit.epochs == 0) {  // the start is not bettered
    const GateJudgement judged =
        judge(problem, problem.start(), options.objective,
              prior_tensor(options, static_cast<int64_t>(problem.experts().size())), all);
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

ValidationSplit required_split(const GateProblem& problem, const GateTrainingOptions& options) {
  ValidationSplit split = validation_split(problem.texts(), options.seed);
  if (!split.validation.empty()) return split;
  throw Error("E_DATA",
              fmt::format("{} held-out texts are too few to choose on: at least 5 are needed",
                          problem.texts()));
}

ChosenGate choose_gate(const GateProblem& problem, const GateTrainingOptions& options,
                       StopToken stop) {
  const ValidationSplit split = required_split(problem, options);
  EpochJudge judge(problem, options, split.validation);
  Choice chosen = choose(problem, options, split.rest, stop, judge, {});
  return {std::move(chosen.gate), chosen.epochs, judge.judgement(chosen.judgement),
          chosen.skipped_steps};
}

GateFit fit_gate(const GateProblem& problem, const GateTrainingOptions& options,
                 const RunContext& context) {
  validate(options);
  GateFit fit;
  fit.texts = problem.texts();
  fit.epochs = options.epochs;
  std::vector<RunEpoch> history;
  const EpochSink sink = [&](RunEpoch run) { history.push_back(std::move(run)); };
  std::optional<EpochJudge> judge;
  std::optional<size_t> best;
  if (problem.texts() >= 5) {
    const ValidationSplit split = required_split(problem, options);
    judge.emplace(problem, options, split.validation);
    Progress progress = context.progress("choosing the epochs", "epoch", options.epochs);
    const Choice chosen =
        choose(problem, options, split.rest, context.stop, *judge, [&](RunEpoch run) {
          progress.advance(1, fmt::format("loss {:.4f}", run.validation_total));
          sink(std::move(run));
        });
    fit.epochs = chosen.epochs;
    fit.skipped_steps = chosen.skipped_steps;
    best = chosen.judgement;
  }
  refit(problem, options, context, judge ? &*judge : nullptr, sink, fit);
  const std::vector<GateJudgement> judged = judge ? judge->finish() : std::vector<GateJudgement>();
  if (best) fit.validation_task = judged[*best].task;
  for (RunEpoch& run : history) {
    if (run.judgement) run.epoch.judged = judged[*run.judgement];
    fit.history.push_back(std::move(run.epoch));
  }
  fit.gate = gate::moved(fit.gate, encoder::kHost);
  return fit;
}

}  // namespace moecollab::training
