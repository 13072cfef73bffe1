// Compiled with OpenMP, without which at::parallel_for() is a plain loop.
#include "encoder/parallel.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>

#ifndef _OPENMP
#error "compile this file with OpenMP"
#endif

namespace moecollab::encoder {

void for_each_in_parallel(int64_t n, const std::function<void(int64_t)>& work) {
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min<int64_t>(n, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < n; i = next++) work(i);
  });
}

void for_each_chunk_in_parallel(size_t n,
                                const std::function<void(size_t first, size_t count)>& work) {
  constexpr size_t kTogether = 64;
  const auto chunks = static_cast<int64_t>((n + kTogether - 1) / kTogether);
  for_each_in_parallel(chunks, [&](int64_t chunk) {
    const size_t first = static_cast<size_t>(chunk) * kTogether;
    work(first, std::min(n - first, kTogether));
  });
}

namespace {

void spin() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

// OpenMP's own barrier sleeps at once under OMP_WAIT_POLICY=passive, and to wake a thread takes as
// long as a step.
class StepBarrier {
 public:
  struct Abandoned {};

  explicit StepBarrier(int64_t members) : members_(members), missing_(members) {}

  void wait() {
    const int step = step_.load(std::memory_order_acquire);
    if (abandoned_) throw Abandoned();
    if (--missing_ == 0) {
      missing_ = members_;
      next_step();
    } else {
      for (int i = 0; i < kSpins && step_.load(std::memory_order_acquire) == step; ++i) spin();
      step_.wait(step, std::memory_order_acquire);
    }
    if (abandoned_) throw Abandoned();
  }

  // Keeps the first error and lets go everybody who waits or will wait.
  void abandon(std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::move(error);
    }
    abandoned_ = true;
    next_step();
  }

  // After all members have ended.
  void throw_if_abandoned() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  static constexpr int kSpins = 4000;  // some 50 µs

  void next_step() {
    ++step_;
    step_.notify_all();
  }

  const int64_t members_;
  std::atomic<int64_t> missing_;
  std::atomic<int> step_ = 0;
  std::atomic<bool> abandoned_ = false;
  std::mutex mutex_;
  std::exception_ptr error_;
};

void TeamMember::finish_step() const {
  if (barrier_ != nullptr) barrier_->wait();
}

void in_team(int64_t members, const std::function<void(const TeamMember&)>& work) {
  if (members <= 1) return work(TeamMember());
  std::optional<StepBarrier> barrier;
#pragma omp parallel num_threads(static_cast <int>(members))
  {
    const int64_t given = omp_get_num_threads();
#pragma omp single
    barrier.emplace(given);
    try {
      work(TeamMember(omp_get_thread_num(), given, &*barrier));
    } catch (const StepBarrier::Abandoned&) {
    } catch (...) {
      barrier->abandon(std::current_exception());
    }
  }
  barrier->throw_if_abandoned();
}

void for_each_batch(int64_t n, const std::function<void(int64_t i, int64_t threads)>& work) {
  if (const int64_t threads = at::get_num_threads(); n < threads) {
    for (int64_t i = 0; i < n; ++i) work(i, threads);
  } else {
    for_each_in_parallel(n, [&](int64_t i) { work(i, 1); });
  }
}

}  // namespace moecollab::encoder
