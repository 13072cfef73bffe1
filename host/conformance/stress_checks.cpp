// Level 5: many at once, odd sizes, little memory, and an orderly end.
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <thread>

#include "conformance/check.h"
#include "conformance/failing_memory.h"
#include "conformance/subject.h"

namespace moecollab::conformance {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kThreads = 4;
constexpr double kThreadSeconds = 1.0;
constexpr double kCancelSeconds = 1.0;
constexpr int64_t kGrowthCalls = 10'000;
constexpr int64_t kAllocations = 200;  // of a call that are made to fail

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Guarded memory is made in one thread; the calls run side by side, each on an object of its own.
void check_threads(Subject& subject, Findings& findings) {
  struct Worker {
    std::unique_ptr<TestExpert> expert;
    std::unique_ptr<TestBatch> batch;
    std::unique_ptr<GuardedTensor> logits;
    std::vector<float> expected;
  };
  std::vector<Worker> workers(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    Worker& w = workers[static_cast<size_t>(i)];
    w.expert = std::make_unique<TestExpert>(subject);
    const auto rows =
        w.expert->rows(w.expert->at_most(16), uint64_t{40} + static_cast<uint64_t>(i));
    w.batch = std::make_unique<TestBatch>(rows, w.expert->requirements().inputs,
                                          w.expert->requirements().layer_count,
                                          subject.encoder().config.hidden);
    w.expected = w.expert->forward(*w.batch);
    w.logits = std::make_unique<GuardedTensor>(
        "logits", std::vector<int64_t>{w.batch->view().rows, subject.classes()});
  }
  std::atomic<int> differing = 0, failed = 0;
  const bool deterministic = subject.manifest().output.deterministic;
  const auto work = [&](Worker& w) {
    const moec_exec exec = subject.exec();
    for (const auto start = Clock::now(); seconds_since(start) < kThreadSeconds;) {
      moec_error error = empty_error();
      if (subject.table().forward(w.expert->get(), &exec, &w.batch->view(), &w.logits->view,
                                  &error) != MOEC_OK) {
        ++failed;
        return;
      }
      for (size_t i = 0; i < w.expected.size(); ++i) {
        const double scale = std::max(1.0, std::abs(static_cast<double>(w.expected[i])));
        if (deterministic && !(std::abs(w.logits->floats()[i] - w.expected[i]) <= 1e-5 * scale)) {
          ++differing;
          return;
        }
      }
    }
  };
  std::vector<std::thread> threads;
  for (Worker& w : workers) threads.emplace_back(work, std::ref(w));
  for (std::thread& thread : threads) thread.join();
  if (failed > 0)
    findings.add(fmt::format("{} objects on {} threads are served", kThreads, kThreads),
                 fmt::format("{} of them failed", failed.load()));
  if (differing > 0)
    findings.add("objects on other threads do not change an object's logits",
                 fmt::format("those of {} of {} objects differed", differing.load(), kThreads));
}

void check_cancel(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  const auto rows = expert.rows(expert.at_most(64), 1);
  const TestBatch batch = expert.batch(rows);
  Subject::set_stop(true);
  const auto judge = [&](const char* call, const auto& run) {
    const auto start = Clock::now();
    try {
      run();
    } catch (const CallFailed& failure) {
      if (failure.status != MOEC_CANCELLED)
        findings.add(fmt::format("{} that is asked to stop says MOEC_CANCELLED, or finishes", call),
                     failure.what());
    }
    if (seconds_since(start) > kCancelSeconds)
      findings.add(
          fmt::format("{} returns within {:g} s of being asked to stop", call, kCancelSeconds),
          fmt::format("it took {:.1f} s", seconds_since(start)));
  };
  judge("forward()", [&] { expert.forward(batch); });
  if (subject.fit() != nullptr) {
    std::vector<int32_t> labels;
    for (size_t i = 0; i < rows.size(); ++i)
      labels.push_back(static_cast<int32_t>(i % static_cast<size_t>(subject.classes())));
    judge("fit", [&] { expert.fit_toy(rows, labels, std::vector<float>(rows.size(), 1.0F), 50); });
  }
}

void check_sizes(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  std::mt19937_64 draw(subject.seed());
  const int64_t hidden = subject.encoder().config.hidden;
  for (int round = 0; round < 40; ++round) {
    auto rows = expert.rows(expert.at_most(1 + draw() % 40), draw() % 1000);
    for (TestBatch::Row& row : rows) {
      const size_t kind = draw() % 8;
      if (kind == 0) row.text = std::string(1 + draw() % 200'000, 'x');
      if (kind == 1) row.text = ".";
      if (kind == 5) row.text.clear();
      if (kind == 2)
        row.text = "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 \xE2\x80\xAE\xCC\x81\xCC\x81";
      if (kind == 3) {  // as many tokens as the encoder gives
        const auto tokens = static_cast<size_t>(subject.encoder().max_length);
        row.tokens.assign(tokens, 1);
        for (auto& values : row.hidden) values.assign(tokens * static_cast<size_t>(hidden), 0.5F);
      }
      if (kind == 4) {
        for (auto& values : row.pooled) std::fill(values.begin(), values.end(), 0.0F);
      }
    }
    const std::vector<float> logits = expert.forward(expert.batch(rows));
    if (std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); }))
      continue;
    findings.add("texts of any length and script give finite logits",
                 fmt::format("round {} of {} rows did not", round + 1, rows.size()));
    return;
  }
}

// create() and forward() with one allocation of theirs failing, each in turn.
void check_memory(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(2), 3));
  const std::vector<float> expected = expert.forward(batch);
  FailingMemory memory(reinterpret_cast<const void*>(subject.library().entry()));

  bool failing = true;
  for (int64_t n = 0; failing && n < kAllocations; ++n) {
    moec_expert* object = nullptr;
    moec_error error = empty_error();
    memory.fail_after(n);
    const moec_status status = subject.create(&object, &error);
    failing = memory.stop();
    if ((status == MOEC_OK) != (object != nullptr)) {
      findings.add("create() that lacks memory fails and leaves *expert NULL, or gives an expert",
                   fmt::format("with allocation {} failing: status {}, {}", n + 1, status,
                               object == nullptr ? "no expert" : "an expert"));
    }
    if (object != nullptr) subject.table().destroy(object);
  }
  if (failing) findings.note(fmt::format("create(): the first {} allocations", kAllocations));
  moec_expert* again = nullptr;
  moec_error again_error = empty_error();
  if (const auto status = subject.create(&again, &again_error); status != MOEC_OK)
    findings.add("a library that once lacked memory makes experts again",
                 fmt::format("status {}: {}", status, message_of(again_error)));
  if (again != nullptr) subject.table().destroy(again);

  GuardedTensor logits("logits", {batch.view().rows, subject.classes()});
  const moec_exec exec = subject.exec();
  const auto differs = [&] {
    for (size_t i = 0; i < expected.size(); ++i) {
      const double scale = std::max(1.0, std::abs(static_cast<double>(expected[i])));
      if (!(std::abs(logits.floats()[i] - expected[i]) <= 1e-5 * scale)) return true;
    }
    return false;
  };
  const bool deterministic = subject.manifest().output.deterministic;
  const auto forward = [&](moec_error& error) {
    std::fill_n(logits.floats(), expected.size(), std::numeric_limits<float>::quiet_NaN());
    return subject.table().forward(expert.get(), &exec, &batch.view(), &logits.view, &error);
  };
  failing = true;
  for (int64_t n = 0; failing && n < kAllocations; ++n) {
    moec_error error = empty_error();
    memory.fail_after(n);
    const moec_status status = forward(error);
    failing = memory.stop();
    if (status == MOEC_OK && deterministic && differs())
      findings.add("forward() that lacks memory fails, or gives the right logits",
                   fmt::format("with allocation {} failing it gave others and MOEC_OK", n + 1));
  }
  if (failing) findings.note(fmt::format("forward(): the first {} allocations", kAllocations));
  moec_error error = empty_error();
  const moec_status status = forward(error);
  if (status != MOEC_OK || (deterministic && differs()))
    findings.add("an expert that once lacked memory serves again",
                 status == MOEC_OK ? "with other logits than before"
                                   : fmt::format("status {}: {}", status, message_of(error)));
}

// Always new texts, one at a time; what is kept of each adds up over the days of a host. A cache of
// bounded size has come to rest in the first half, or is larger than this check can see.
void check_growth(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  std::vector<TestBatch::Row> rows = expert.rows(1, 37);
  int64_t calls = 0;
  const auto ask_until = [&](Clock::time_point end, int64_t most) {
    while (calls < most && Clock::now() < end) {
      rows[0].id = calls;
      rows[0].text = fmt::format("text {} of many, which nobody has sent before", ++calls);
      if (!rows[0].pooled.empty()) rows[0].pooled[0][0] = static_cast<float>(calls % 1009) * 1e-3F;
      expert.forward(expert.batch(rows));
    }
  };
  const auto start = Clock::now();
  ask_until(start + std::chrono::milliseconds(300), kGrowthCalls / 2);
  const int64_t half = calls, before = heap_in_use();
  ask_until(start + std::chrono::milliseconds(600), 2 * half);
  const double per_text = static_cast<double>(heap_in_use() - before) /
                          static_cast<double>(std::max<int64_t>(1, calls - half));
  const bool torch = !subject.manifest().abi.libtorch.empty();  // its allocator keeps some
  if (per_text > (torch ? 4096 : 48) && calls - half >= 20)
    findings.add("a text leaves nothing behind",
                 fmt::format("{:.0f} bytes per text, after {} texts", per_text, half));
}

void check_latency(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  for (const size_t n : {size_t{1}, size_t{32}}) {
    const TestBatch batch = expert.batch(expert.rows(expert.at_most(n), 2));
    std::vector<double> times;
    for (int i = 0; i < 50; ++i) {
      const auto start = Clock::now();
      expert.forward(batch);
      times.push_back(seconds_since(start));
    }
    std::sort(times.begin(), times.end());
    findings.note(fmt::format(
        "{:.0f} us per row at batch {}",
        times[times.size() / 2] * 1e6 / static_cast<double>(batch.view().rows), batch.view().rows));
  }
}

void check_leaves_nothing(Subject& subject, Findings& findings) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  };
  const auto before = threads();
  {
    TestExpert expert(subject);
    expert.forward(expert.batch(expert.rows(expert.at_most(8), 1)));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const bool torch = !subject.manifest().abi.libtorch.empty();  // its pool stays
  if (threads() > before && !torch)
    findings.add("no thread lives on after destroy()", fmt::format("{} do", threads() - before));
  if (::waitpid(-1, nullptr, WNOHANG) >= 0)
    findings.add("no process lives on after destroy()", "one does");
}

constexpr Check kStressChecks[] = {
    {"threads", 5, "objects on several threads do not meet",
     "keep nothing that calls write in static or global memory", &check_threads},
    {"cancel", 5, "a call that is asked to stop returns",
     "ask host->should_stop() in long loops and return MOEC_CANCELLED", &check_cancel},
    {"sizes", 5, "texts of any length and script are served",
     "size buffers by the text at hand; a text is any UTF-8", &check_sizes},
    {"growth", 5, "ten thousand texts leave nothing behind",
     "bound every cache; free what a call made", &check_growth},
    {"memory", 5, "an allocation that fails is an error, no crash",
     "check what malloc() returns, and let no exception of new leave a callback", &check_memory},
    {"latency", 5, "how long a row takes (a figure, no verdict)", "", &check_latency},
    {"leaves-nothing", 5, "destroy() ends what it started", "join threads in destroy()",
     &check_leaves_nothing, /*exits=*/true},
};

}  // namespace

std::span<const Check> stress_checks() { return kStressChecks; }

std::vector<Check> all_checks() {
  std::vector<Check> all;
  for (const auto& checks : {load_checks(), contract_checks(), numeric_checks(), extension_checks(),
                             gradient_checks(), learning_checks(), stress_checks()})
    all.insert(all.end(), checks.begin(), checks.end());
  std::ranges::stable_sort(all, {}, &Check::level);
  return all;
}

}  // namespace moecollab::conformance
