// Level 5: many experts at once, each on a thread of its own.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/check.h"
#include "conformance/distance.h"
#include "conformance/test_expert.h"
#include "conformance/training_pass.h"

namespace moecollab::conformance {
namespace {

constexpr uint64_t kThreads = 4;
constexpr std::chrono::milliseconds kSideBySide(1000);

// Runs each of the jobs over and over on a thread of its own, until one is done or time is over.
void run_side_by_side(const std::vector<std::function<bool()>>& jobs) {
  const auto end = std::chrono::steady_clock::now() + kSideBySide;
  std::vector<std::thread> threads;
  for (const auto& job : jobs) {
    threads.emplace_back([&job, end] {
      while (std::chrono::steady_clock::now() < end && job()) {
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// An expert with a batch and what it answers when it is alone. Its memory is made on one thread.
struct Worker {
  Worker(Subject& of, uint64_t seed)
      : subject(of),
        expert(of),
        batch(expert.batch(expert.rows(expert.at_most(16), seed))),
        logits("logits", {batch.view().rows, of.classes()}),
        expected(expert.forward(batch)) {}

  // Whether that one answers so too; nothing if forward() fails.
  std::optional<bool> answers_alike(moec_expert* other) const {
    const moec_exec exec = subject.exec();
    moec_error error = empty_error();
    if (subject.table().forward(other, &exec, &batch.view(), &logits.view, &error) != MOEC_OK)
      return std::nullopt;
    return !subject.manifest().output.deterministic ||
           distance(expected.data(), logits.floats(), expected.size()) <= kSameAnswers;
  }

  Subject& subject;
  TestExpert expert;
  TestBatch batch;
  GuardedTensor logits;
  std::vector<float> expected;
};

void check_threads(Subject& subject, Findings& findings) {
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::function<bool()>> jobs;
  std::atomic<int> differing = 0, failed = 0;
  for (uint64_t i = 0; i < kThreads; ++i) {
    const Worker& w = *workers.emplace_back(std::make_unique<Worker>(subject, 40 + i));
    jobs.emplace_back([&] {
      const std::optional<bool> alike = w.answers_alike(w.expert.get());
      failed += !alike;
      differing += alike && !*alike;
      return alike.value_or(false);
    });
  }
  // Others are made and destroyed meanwhile.
  std::vector<moec_expert*> made(2);  // the last of each
  for (moec_expert*& last : made) {
    jobs.emplace_back([&] {
      subject.table().destroy(std::exchange(last, nullptr));
      moec_error error = empty_error();
      const bool is_made = subject.create(&last, &error) == MOEC_OK;
      failed += !is_made;
      return is_made;
    });
  }
  run_side_by_side(jobs);
  const bool ready = subject.has_weights() || (subject.params() == nullptr && !subject.fit());
  for (moec_expert* other : made) {
    if (ready && other != nullptr && !workers[0]->answers_alike(other).value_or(true))
      findings.add("experts that are made on two threads at once are as others",
                   "one answers otherwise");
    subject.table().destroy(other);
  }
  if (failed > 0)
    findings.add(
        fmt::format("{} objects on {} threads are served, and others made", kThreads, kThreads),
        fmt::format("{} of them failed", failed.load()));
  if (differing > 0)
    findings.add("objects on other threads do not change an object's logits",
                 fmt::format("those of {} of {} objects differed", differing.load(), kThreads));
}

// An expert that is trained, and the gradient that it gets when it is alone.
struct Learner {
  Learner(Subject& of, uint64_t seed)
      : subject(of),
        expert(of, seed),
        batch(expert.batch(expert.rows(expert.at_most(24), seed))),
        logits("logits", {batch.view().rows, of.classes()}),
        gy("gy", logits.shape),
        none(batch.float_inputs().size(), nullptr) {
    if (expert.parameters().empty()) expert.bind(seed);
    expert.vary(static_cast<uint32_t>(seed), 0.02F);
    std::ranges::copy(cotangent(gy.count()), gy.floats());
    expected = gradient();
  }

  // One pass's; empty if a call fails.
  std::vector<float> gradient() {
    for (auto& p : expert.parameters()) std::fill_n(p.grad->floats(), p.grad->count(), 0.0F);
    const moec_exec exec = subject.exec(/*training=*/false, 1);
    const moec_ext_train& train = *subject.train();
    moec_saved* saved = nullptr;
    moec_error error = empty_error();
    moec_status status =
        train.forward_train(expert.get(), &exec, &batch.view(), &logits.view, &saved, &error);
    if (status == MOEC_OK)
      status = train.vjp(expert.get(), &exec, saved, &gy.view, none.size(), none.data(), &error);
    train.release_saved(expert.get(), saved);
    std::vector<float> all;
    for (auto& p : expert.parameters()) {
      if (status == MOEC_OK)
        all.insert(all.end(), p.grad->floats(), p.grad->floats() + p.grad->count());
    }
    return all;
  }

  Subject& subject;
  TestExpert expert;
  TestBatch batch;
  GuardedTensor logits, gy;
  std::vector<const moec_tensor*> none;  // no gradient of an input
  std::vector<float> expected;
};

// Two experts that are trained side by side, as hosts train several.
void check_train_threads(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  std::vector<std::unique_ptr<Learner>> learners;
  std::vector<std::function<bool()>> jobs;
  std::atomic<int> differing = 0;
  for (const uint64_t seed : {3, 4}) {
    Learner& learner = *learners.emplace_back(std::make_unique<Learner>(subject, seed));
    jobs.emplace_back([&] {
      const std::vector<float> seen = learner.gradient();
      const bool alike = seen.size() == learner.expected.size() &&
                         distance(learner.expected.data(), seen.data(), seen.size()) <= 1e-4;
      differing += !alike;
      return alike;
    });
  }
  run_side_by_side(jobs);
  if (differing > 0)
    findings.add("experts that are trained side by side get the gradients that each gets alone",
                 fmt::format("{} of {} got others, or failed", differing.load(), learners.size()));
}

// Hosts come with threads of their own, which end.
void check_thread_leaks(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(8), 1));
  GuardedTensor logits("logits", {batch.view().rows, subject.classes()});
  const moec_exec exec = subject.exec();
  const auto ask = [&](int threads) {
    for (int i = 0; i < threads; ++i) {
      std::thread([&] {
        subject.table().forward(expert.get(), &exec, &batch.view(), &logits.view, nullptr);
      }).join();
    }
  };
  constexpr int kThreadsThatEnd = 32;
  ask(kThreadsThatEnd);
  const bool torch = subject.uses_torch();  // its allocator keeps some
  const int64_t grown =
      least_growth((torch ? 65536 : 256) * kThreadsThatEnd, [&] { ask(kThreadsThatEnd); });
  if (grown > 0)
    findings.add("a thread that called forward() and ended leaves nothing behind",
                 fmt::format("{} bytes per thread", grown / kThreadsThatEnd));
}

constexpr Check kThreadChecks[] = {
    {"train-threads", 5, "experts that are trained on several threads do not meet",
     "keep sums and scratch of vjp() in the expert or in *saved, never in static memory",
     &check_train_threads},
    {"threads", 5, "objects on several threads do not meet",
     "keep nothing that calls write in static or global memory", &check_threads},
    {"thread-leaks", 5, "threads that call and end leave nothing behind",
     "keep scratch in the expert, or in a thread_local object with a destructor",
     &check_thread_leaks},
};

}  // namespace

std::span<const Check> thread_checks() { return kThreadChecks; }

}  // namespace moecollab::conformance
