#include "training/sweep.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/measure.h"

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

}  // namespace

void run_sweep(const GateProblem& problem, const GateTrainingOptions& options,
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

}  // namespace moecollab::training
