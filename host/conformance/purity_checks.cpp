// Level 3: a result depends on package and batch alone, whatever else changes.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "conformance/check.h"
#include "conformance/distance.h"
#include "conformance/faked_clock.h"
#include "conformance/test_expert.h"

namespace moecollab::conformance {
namespace {

std::vector<TestBatch::Row> some_rows(const TestExpert& expert) {
  return expert.rows(expert.at_most(12), 29);
}

// What an expert answers in another process that has other memory in use: the library, its objects
// and its stack lie elsewhere there. Called before the library is loaded here. Fewer numbers if it
// died there.
std::vector<float> answers_elsewhere(Subject& subject) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe to another process");
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr size_t kHole = size_t{3} << 30;  // bytes of addresses, no memory
    const auto reserve = [](size_t size) {
      return static_cast<char*>(
          ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    };
    const char* hole = reserve(kHole + 12'345 * 4096);
    // And the gaps above it that the library would fit into.
    for (size_t gap = size_t{64} << 20; gap >= 4096; gap /= 4) {
      for (int i = 0; i < 10'000 && reserve(gap) > hole; ++i) {
      }
    }
    const auto heap = std::make_unique<char[]>(77'777);
    try {
      TestExpert expert(subject);
      const std::vector<float> logits = expert.forward(expert.batch(some_rows(expert)));
      const auto size = static_cast<ssize_t>(logits.size() * sizeof(float));
      ::_exit(::write(ends[1], logits.data(), static_cast<size_t>(size)) == size ? 0 : 1);
    } catch (...) {
      ::_exit(1);
    }
  }
  ::close(ends[1]);
  std::vector<float> logits;
  for (float value; ::read(ends[0], &value, sizeof value) == sizeof value;) logits.push_back(value);
  ::close(ends[0]);
  if (child > 0) ::waitpid(child, nullptr, 0);
  return logits;
}

// An expert and what it answered first, held against what it answers when something else changes.
class Trial {
 public:
  Trial(Subject& subject, Findings& findings)
      : subject_(subject),
        findings_(findings),
        expert_(subject),
        rows_(some_rows(expert_)),
        expected_(expert_.forward(expert_.batch(rows_))) {}

  void require(const std::vector<float>& logits, const char* what) {
    if (distance(expected_.data(), logits.data(), expected_.size()) > kSameAnswers)
      findings_.add(fmt::format("logits do not depend on {}", what), "they are others then");
  }
  // What another process answered, unless it died: then this one will.
  void hold_against(const std::vector<float>& elsewhere) {
    if (elsewhere.size() == expected_.size())
      require(elsewhere, "the process and the addresses that it is loaded at");
  }
  void change_exec() {
    moec_exec exec = subject_.exec();
    exec.seed = 0x5EEDF00D;
    serve(exec, "exec.seed");
    serve(subject_.exec(/*training=*/true), "exec.training");
    exec = subject_.exec();
    for (const int32_t threads : {2, 16}) {
      exec.threads = threads;
      serve(exec, "exec.threads");
    }
    exec = subject_.exec();
    exec.device_type = MOEC_CUDA;
    if (!subject_.uses_torch()) serve(exec, "exec.device_type");
  }
  void make_others() {
    std::vector<std::unique_ptr<TestExpert>> others;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) {
      if (std::chrono::steady_clock::now() - start > std::chrono::milliseconds(500)) break;
      others.push_back(std::make_unique<TestExpert>(subject_));
      others.back()->forward(expert_.batch(expert_.rows(expert_.at_most(3), 31)));
    }
    require(answers(), "how many other experts there are");
    others.clear();
    require(answers(), "whether others were destroyed");
  }
  void change_thread() {
    const TestBatch batch = expert_.batch(rows_);
    std::vector<float> elsewhere;
    std::string refused;
    std::thread([&] {
      try {
        elsewhere = expert_.forward(batch);
      } catch (const std::exception& error) {
        refused = error.what();
      }
    }).join();
    if (!refused.empty())
      findings_.add("an expert serves any thread, one call at a time", refused);
    else
      require(elsewhere, "the thread that calls");
  }
  void change_environment() {
    ::setenv("LANG", "tr_TR.UTF-8", 1);
    ::setenv("LC_ALL", "tr_TR.UTF-8", 1);
    ::setenv("TZ", "Pacific/Kiritimati", 1);
    ::setenv("OMP_NUM_THREADS", "3", 1);
    if (::chdir("/proc") == 0) require(answers(), "LANG, TZ or the folder");
    require(answers_of_another(), "LANG, TZ or the folder of its creation");
    ::clearenv();
    require(answers(), "the environment");
  }
  void change_time() {
    FakedClock clock(reinterpret_cast<const void*>(subject_.library().entry()));
    for (const int64_t day : {1, 10'000}) {
      clock.set_ahead(day * 86'400 + 3'601);
      require(answers(), "the time");
      require(answers_of_another(), "the time of its creation");
    }
  }

 private:
  std::vector<float> answers() { return expert_.forward(expert_.batch(rows_)); }
  std::vector<float> answers_of_another() {
    return TestExpert(subject_).forward(expert_.batch(rows_));
  }
  void serve(const moec_exec& exec, const char* what) {
    try {
      require(expert_.forward(expert_.batch(rows_), exec), what);
    } catch (const CallFailed& failure) {
      findings_.add(fmt::format("forward() serves whatever {}", what), failure.what(),
                    "compute on the CPU if you compute nowhere else; what is lent lies there");
    }
  }

  Subject& subject_;
  Findings& findings_;
  TestExpert expert_;
  std::vector<TestBatch::Row> rows_;
  std::vector<float> expected_;
};

void check_purity(Subject& subject, Findings& findings) {
  if (!deterministic(subject, findings)) return;
  const std::vector<float> elsewhere = answers_elsewhere(subject);  // before it is loaded here
  Trial trial(subject, findings);
  trial.hold_against(elsewhere);
  trial.change_exec();
  trial.make_others();
  trial.change_thread();
  trial.change_environment();
  trial.change_time();
}

constexpr Check kPurityChecks[] = {
    {"purity", 3, "a result depends on package and batch alone",
     "read no environment, clock, folder, address or static variable", &check_purity},
};

}  // namespace

std::span<const Check> purity_checks() { return kPurityChecks; }

}  // namespace moecollab::conformance
