#include "training/sweep.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/measure.h"
#include "encoder/device.h"
#include "training/sweep_batch.h"

namespace moecollab::training {
namespace {

SweepResult run_point(const GateProblem& problem, GateTrainingOptions options,
                      const SweepPoint& point, StopToken stop) {
  const Stopwatch watch;
  options.objective.lambda1 = point.lambda1;
  options.objective.lambda2 = point.lambda2;
  SweepResult result;
  result.point = point;
  try {
    const ChosenGate chosen = choose_gate(problem, options, stop);
    result.judged = chosen.judged;
    result.epochs = chosen.epochs;
    result.skipped_steps = chosen.skipped_steps;
  } catch (const Error& error) {
    if (error.code() != "E_TRAIN_DIVERGED") throw;
    result.failure = error.what();
  }
  result.seconds = watch.seconds();
  return result;
}

void run_together(const GateProblem& problem, const GateTrainingOptions& options,
                  std::span<const SweepPoint> points, const RunContext& context,
                  const std::function<void(const SweepResult&)>& done) {
  size_t most = points.size();
  while (!points.empty()) {
    const auto together = points.first(std::min(most, points.size()));
    std::vector<SweepResult> results;
    try {
      results = fit_together(problem, options, together, context.stop);
    } catch (const c10::Error& error) {
      if (!encoder::is_out_of_memory(error) || together.size() == 1) throw;
    }
    if (results.empty()) {
      most = together.size() / 2;
      context.log.warning(
          fmt::format("{} has no memory for {} points at once; from now on {} at most",
                      problem.device().str(), together.size(), most));
      continue;
    }
    for (const SweepResult& result : results) done(result);
    points = points.subspan(together.size());
  }
}

void run_on_threads(const GateProblem& problem, const GateTrainingOptions& options,
                    std::span<const SweepPoint> points, int threads, StopToken stop,
                    const std::function<void(const SweepResult&)>& done) {
  std::atomic<size_t> next = 0;
  std::atomic<bool> over = false;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    // Sets it for this thread alone: OpenMP's and MKL's counts are a thread's own.
    at::set_num_threads(1);
    try {
      for (size_t i = next++; i < points.size() && !over; i = next++) {
        const SweepResult result = run_point(problem, options, points[i], stop);
        const std::lock_guard lock(mutex);
        if (!over) done(result);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      over = true;
    }
  };
  std::vector<std::thread> workers;
  const size_t count = std::min(points.size(), static_cast<size_t>(std::max(1, threads)));
  for (size_t i = 0; i < count; ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

bool are_fitted_together(at::Device device, const GateTrainingOptions& options) {
  return !device.is_cpu() && options.optimizer == GateOptimizer::kLbfgs;
}

void run_sweep(const GateProblem& problem, const GateTrainingOptions& options,
               std::span<const SweepPoint> points, int threads, const RunContext& context,
               const std::function<void(const SweepResult&)>& done) {
  if (are_fitted_together(problem.device(), options)) {
    run_together(problem, options, points, context, done);
  } else {
    run_on_threads(problem, options, points, threads, context.stop, done);
  }
}

}  // namespace moecollab::training
