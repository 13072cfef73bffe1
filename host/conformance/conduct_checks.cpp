// Level 2: a library works on its own memory, and leaves process, files and network alone.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "base/strings.h"
#include "conformance/check.h"
#include "conformance/surroundings.h"
#include "conformance/test_expert.h"
#include "conformance/thread_starts.h"
#include "conformance/watched_calls.h"

namespace moecollab::conformance {
namespace {

// Whatever comes of it.
void fail_calls(Subject& subject, TestExpert& expert) {
  const moec_library& table = subject.table();
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(8), 1), /*read_only=*/false);
  GuardedTensor logits("logits", {batch.view().rows, subject.classes()});
  const moec_exec exec = subject.exec();
  moec_error error = empty_error();
  table.forward(expert.get(), &exec, nullptr, &logits.view, &error);
  Subject::set_stop(true);
  table.forward(expert.get(), &exec, &batch.view(), &logits.view, &error);
  Subject::set_stop(false);
  moec_expert* none = nullptr;
  subject.create(&none, &error, [](moec_create_info& info) { info.classes = 0; });
  table.destroy(none);
}

void check_surroundings(Subject& subject, Findings& findings) {
  const bool torch = subject.uses_torch();  // its products have a pool
  // Standard output goes into a file that can be looked at.
  char path[] = "/tmp/moecollab-stdout.XXXXXX";
  const int file = ::mkstemp(path);
  ::unlink(path);
  ::dup2(file, STDOUT_FILENO);
  begin_sequence();
  const Surroundings before = Surroundings::now();
  subject.library();
  compare(before, Surroundings::now(), "loading", torch, findings);
  const ThreadStarts starts(reinterpret_cast<const void*>(subject.library().entry()));
  const auto use = [&] {
    TestExpert expert(subject);
    compare(before, Surroundings::now(), "create()", torch, findings);
    for (const size_t n : {size_t{8}, size_t{64}}) {
      expert.forward(expert.batch(expert.rows(expert.at_most(n), 1), /*read_only=*/false));
      compare(before, Surroundings::now(), "forward()", torch, findings);
    }
    fail_calls(subject, expert);
    compare(before, Surroundings::now(), "a call that fails or is stopped", torch, findings);
  };
  use();
  const Surroundings once = Surroundings::now();
  compare(before, once, "destroy()", torch, findings);
  use();  // what the first one opened for all may stay open
  if (const std::string opened = opened_since(once, Surroundings::now()); !opened.empty())
    findings.add("destroy() closes what its expert opened", "descriptors are open now: " + opened);
  if (::waitpid(-1, nullptr, WNOHANG) >= 0) findings.add("no process is started", "one was");
  if (starts.count() > 0)
    findings.add("no thread is started if exec.threads is 1",
                 fmt::format("{} were, by pthread_create()", starts.count()));
  std::fflush(nullptr);
  struct stat written {};
  ::fstat(file, &written);
  if (written.st_size > 0)
    findings.add("nothing is printed to standard output",
                 fmt::format("{} bytes were", written.st_size));
}

// Everything that a host does with an expert, from loading it to its end, while the calls that
// would reach files and network are watched.
void check_files(Subject& subject, Findings& findings) {
  if (!WatchedCalls::possible())
    return findings.not_applicable("system calls can be watched on x86-64 only");
  std::optional<WatchedCalls> calls;
  try {
    calls.emplace();
  } catch (const Error& error) {
    return findings.not_applicable(error.what());
  }
  std::string failure;
  try {
    for (int life = 0; life < 2; ++life) {
      TestExpert expert(subject);
      for (const size_t n : {size_t{1}, size_t{8}})
        expert.forward(expert.batch(expert.rows(expert.at_most(n), n), /*read_only=*/false));
    }
  } catch (const std::exception& error) {
    failure = error.what();
  }
  for (const std::string& call : calls->seen())
    findings.add("files, connections and programs are left alone", call);
  if (!failure.empty()) findings.add("every call of this check succeeds", failure);
}

constexpr Check kConductChecks[] = {
    {"surroundings", 2, "it changes nothing but its own memory",
     "no setlocale, chdir, signal, setenv, printf, fork, random(), limits, priorities or threads "
     "of its own; close what was opened",
     &check_surroundings},
    {"files", 2, "it opens no file of the user's, writes none, and makes no connection",
     "put words and tables into the code or into weights.safetensors; report by host->log()",
     &check_files},
};

}  // namespace

std::span<const Check> conduct_checks() { return kConductChecks; }

}  // namespace moecollab::conformance
