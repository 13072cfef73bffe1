// Level 5: many at once, odd sizes, little memory, and an orderly end.
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "conformance/check.h"
#include "conformance/distance.h"
#include "conformance/failing_memory.h"
#include "conformance/test_expert.h"
#include "conformance/test_host.h"

namespace moecollab::conformance {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kCancelSeconds = 1.0;
constexpr double kSizesSeconds = 1.0, kMemorySeconds = 1.0, kLatencySeconds = 0.3;
constexpr int64_t kGrowthCalls = 10'000;
constexpr int64_t kAllocations = 200;  // of a call that are made to fail

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr int64_t kAsks[] = {0, 1, 2, 5, 11};  // of should_stop(), before it says 1

// Runs a call that is asked to stop, at once or later; false if it was cancelled.
bool finishes(const char* call, int64_t later, const std::function<void()>& run,
              Findings& findings) {
  bool finished = true;
  Subject::set_stop(true, later);
  try {
    run();
  } catch (const CallFailed& failure) {
    finished = false;
    if (failure.status != MOEC_CANCELLED)
      findings.add(fmt::format("{} that is asked to stop says MOEC_CANCELLED, or finishes", call),
                   failure.what());
  }
  if (const double took = seconds_since_stop(); took > kCancelSeconds)
    findings.add(
        fmt::format("{} returns within {:g} s of being asked to stop", call, kCancelSeconds),
        fmt::format("it took {:.1f} s", took));
  Subject::set_stop(false);
  return finished;
}

// An expert whose lesson was stopped, and is given again, learns as one that was never stopped.
void stop_lessons(Subject& subject, Findings& findings) {
  TestExpert fresh(subject, 1, false);
  Lessons lessons{.rows = fresh.rows(fresh.at_most(64), 1), .labels = {}, .epochs = 3};
  for (size_t i = 0; i < lessons.rows.size(); ++i)
    lessons.labels.push_back(static_cast<int32_t>(i % static_cast<size_t>(subject.classes())));
  fresh.fit(lessons);
  const TestBatch batch = fresh.batch(lessons.rows);
  const std::vector<float> expected = fresh.forward(batch);
  for (const int64_t later : kAsks) {
    TestExpert learner(subject, 1, false);
    lessons.again_if_stopped = [&] {
      if (const double took = seconds_since_stop(); took > kCancelSeconds)
        findings.add(
            fmt::format("fit_batch() returns within {:g} s of being asked to stop", kCancelSeconds),
            fmt::format("it took {:.1f} s", took));
      Subject::set_stop(false);
    };
    const auto fit = [&] { learner.fit(lessons); };
    if (!finishes("fit", later, fit, findings)) fit();
    if (subject.manifest().output.deterministic && learner.forward(batch) != expected)
      findings.add("a call that says MOEC_CANCELLED leaves nothing half-done",
                   "an expert that was stopped, and got fit_batch() or all lessons again, learns "
                   "something else");
  }
}

void check_cancel(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(64), 1));
  const std::vector<float> before = expert.forward(batch);
  const bool deterministic = subject.manifest().output.deterministic;
  for (const int64_t later : kAsks) {
    std::vector<float> logits;
    const auto forward = [&] { logits = expert.forward(batch); };
    if (finishes("forward()", later, forward, findings) && deterministic && logits != before)
      findings.add("forward() that is asked to stop says MOEC_CANCELLED, or finishes",
                   "it says MOEC_OK, and its logits are others");
    if (deterministic && expert.forward(batch) != before)
      findings.add("an expert that was asked to stop answers as before", "its logits are others");
  }
  if (subject.fit() != nullptr) stop_lessons(subject, findings);
}

void check_sizes(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  std::mt19937_64 draw(subject.seed());
  const int64_t hidden = subject.encoder().config.hidden;
  const auto start = Clock::now();
  for (int round = 0; round < 40 && seconds_since(start) < kSizesSeconds; ++round) {
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
    if (all_finite(logits)) continue;
    findings.add("texts of any length and script give finite logits",
                 fmt::format("round {} of {} rows did not", round + 1, rows.size()));
    return;
  }
}

// create() with one allocation failing, each in turn.
void create_without_memory(Subject& subject, FailingMemory& memory, Findings& findings) {
  bool failing = true;
  const auto start = Clock::now();
  for (int64_t n = 0; failing && n < kAllocations && seconds_since(start) < kMemorySeconds; ++n) {
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
    subject.table().destroy(object);
  }
  if (failing) findings.note("create(): the first allocations only");
  moec_expert* again = nullptr;
  moec_error error = empty_error();
  if (const auto status = subject.create(&again, &error); status != MOEC_OK)
    findings.add("a library that once lacked memory makes experts again",
                 fmt::format("status {}: {}", status, message_of(error)));
  subject.table().destroy(again);
}

// The first forward() of an expert with one allocation failing, each in turn, and the second with
// none.
void forward_without_memory(Subject& subject, FailingMemory& memory, Findings& findings) {
  const bool deterministic = subject.manifest().output.deterministic;
  TestExpert usual(subject);
  const TestBatch batch = usual.batch(usual.rows(usual.at_most(2), 3));
  const std::vector<float> expected = usual.forward(batch);
  const auto start = Clock::now();
  bool failing = true;
  int64_t n = 0;
  for (; failing && n < kAllocations && seconds_since(start) < kMemorySeconds; ++n) {
    TestExpert expert(subject);
    const auto answers = [&](const std::string& what) {
      const std::vector<float> logits = expert.forward(batch);
      if (deterministic &&
          !(distance(expected.data(), logits.data(), logits.size()) <= kSameAnswers))
        findings.add(
            what,
            fmt::format("with allocation {} failing it gave other logits and MOEC_OK", n + 1));
    };
    memory.fail_after(n);
    try {
      answers("forward() that lacks memory fails, or gives the right logits");
    } catch (const CallFailed&) {
    }
    failing = memory.stop();
    try {
      answers("an expert that once lacked memory serves again");
    } catch (const CallFailed& failure) {
      findings.add("an expert that once lacked memory serves again", failure.what());
    }
  }
  if (failing) findings.note(fmt::format("forward(): the first {} allocations", n));
}

void check_memory(Subject& subject, Findings& findings) {
  FailingMemory memory(reinterpret_cast<const void*>(subject.library().entry()));
  create_without_memory(subject, memory, findings);
  forward_without_memory(subject, memory, findings);
}

// A word that no other number has, of letters.
std::string word_of(int64_t number) {
  std::string word;
  for (; number > 0; number /= 26) word += static_cast<char>('a' + number % 26);
  return word + "word";
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
      rows[0].text = fmt::format("text {} of many, which nobody has sent before", word_of(++calls));
      if (!rows[0].tokens.empty())
        rows[0].tokens[0] = static_cast<int32_t>(calls % subject.encoder().config.vocabulary);
      if (!rows[0].pooled.empty()) rows[0].pooled[0][0] = static_cast<float>(calls % 1009) * 1e-3F;
      expert.forward(expert.batch(rows));
    }
  };
  // Bytes per text of the next texts; nothing if there was time for a few only.
  const auto growth = [&] {
    const int64_t first = calls, before = heap_in_use();
    ask_until(Clock::now() + std::chrono::milliseconds(250), calls + kGrowthCalls / 3);
    return calls - first < 20
               ? 0
               : static_cast<double>(heap_in_use() - before) / static_cast<double>(calls - first);
  };
  growth();
  const double least = std::min(growth(), growth());
  findings.note(fmt::format("{} texts, one after the other", calls));
  const bool torch = subject.uses_torch();  // its allocator keeps some
  if (least > (torch ? 4096 : 48))
    findings.add("a text leaves nothing behind",
                 fmt::format("{:.0f} bytes per text, after {} texts", least, calls),
                 fmt::format("free what a call made; bound every cache, by fewer than {} texts if "
                             "this check is to see it",
                             calls));
}

void check_latency(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  for (const size_t n : {size_t{1}, size_t{32}}) {
    const TestBatch batch = expert.batch(expert.rows(expert.at_most(n), 2));
    std::vector<double> times;
    const auto first = Clock::now();
    while (times.empty() || (times.size() < 50 && seconds_since(first) < kLatencySeconds)) {
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
  const bool torch = subject.uses_torch();  // its pool stays
  if (threads() > before && !torch)
    findings.add("no thread lives on after destroy()", fmt::format("{} do", threads() - before));
  if (::waitpid(-1, nullptr, WNOHANG) >= 0)
    findings.add("no process lives on after destroy()", "one does");
}

constexpr Check kStressChecks[] = {
    {"cancel", 5, "a call that is asked to stop returns, and leaves nothing half-done",
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

}  // namespace moecollab::conformance
