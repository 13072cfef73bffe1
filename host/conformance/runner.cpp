#include "conformance/runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/json.h"
#include "base/measure.h"
#include "base/strings.h"

namespace moecollab::conformance {
namespace {

constexpr size_t kMostBytes = 1 << 20;  // of a result

int result_pipe = -1;  // of the child
pid_t child_process = 0;

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(result_pipe, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

Json to_json(const Findings& findings) {
  Json list = Json::array();
  for (const Finding& f : findings.all())
    list.push_back({{"expected", f.expected}, {"seen", f.seen}});
  return {{"findings", list}, {"reason", findings.reason()}, {"notes", findings.notes()}};
}

// Says where the fault lay, as far as guarded memory knows. Memory may be in any state: formatting
// can fault in its turn, and as both signals are blocked here, that ends the process at once; the
// signal alone is then what the parent sees.
void on_fault(int signal, siginfo_t* info, void*) {
  static std::atomic_flag taken;
  while (taken.test_and_set()) ::pause();  // another thread says it, and ends the process
  const std::string where = describe_address(info->si_addr);
  Findings findings;
  findings.add("only memory that the host handed over is touched",
               fmt::format("{} {}", ::strsignal(signal),
                           where.empty() ? fmt::format("at address {}", info->si_addr) : where));
  write_all(to_line(to_json(findings)));
  ::_exit(0);
}

void catch_faults() {
  static char stack[1 << 16];
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  ::sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigaddset(&action.sa_mask, SIGSEGV);
  ::sigaddset(&action.sa_mask, SIGBUS);
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
}

[[noreturn]] void run_child(const Check& check, Subject& subject) {
  child_process = ::getpid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere, fd);
  ::setpgid(0, 0);  // so that what it starts ends with it
  catch_faults();
  Findings findings;
  try {
    check.run(subject, findings);
  } catch (const std::exception& error) {
    findings.add("every call of this check succeeds", error.what());
  } catch (...) {
    findings.add("no exception leaves the library", "something was thrown out of it");
  }
  if (::getpid() != child_process) ::_exit(0);  // the library forked, and this is its child
  write_all(to_line(to_json(findings)));
  if (check.exits) std::exit(0);
  ::_exit(0);
}

// Whether the child ends by the deadline; its status.
bool ends_by(pid_t child, std::chrono::steady_clock::time_point deadline, int& status) {
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::usleep(2000);
  }
  return true;
}

// Everything until the end or the deadline; false if that passed.
bool read_until(int fd, std::chrono::steady_clock::time_point deadline, std::string& text) {
  char buffer[4096];
  while (text.size() < kMostBytes) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd wait{fd, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return true;
    text.append(buffer, static_cast<size_t>(n));
    if (text.ends_with('\n') || (text.starts_with('{') && text.ends_with("]}"))) return true;
  }
  return true;
}

std::string ending(int status) {
  if (WIFSIGNALED(status)) return fmt::format("it died of {}", ::strsignal(WTERMSIG(status)));
  return fmt::format("it ended with exit status {} before the check was done", WEXITSTATUS(status));
}

void fill(Outcome& outcome, const std::string& text, bool in_time, int status,
          std::chrono::milliseconds deadline) {
  if (!in_time && text.empty()) {
    outcome.findings.push_back({fmt::format("it returns within {} ms", deadline.count()),
                                "it did not return, and was killed"});
  } else if (text.empty()) {
    outcome.findings.push_back({"the library leaves the process alive", ending(status)});
  } else {
    const Json json = parse_json(text);
    for (const Json& f : json["findings"])
      outcome.findings.push_back({f["expected"].get<std::string>(), f["seen"].get<std::string>()});
    outcome.reason = json["reason"].get<std::string>();
    for (const Json& note : json["notes"]) outcome.notes.push_back(note.get<std::string>());
  }
  outcome.verdict = !outcome.findings.empty() ? Verdict::kFailed
                    : outcome.reason.empty()  ? Verdict::kPassed
                                              : Verdict::kNotApplicable;
}

}  // namespace

Outcome run_check(const Check& check, Subject& subject, std::chrono::milliseconds deadline) {
  const auto start = std::chrono::steady_clock::now();
  const Stopwatch watch;
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0)
    throw Error("E_INTERNAL", fmt::format("no pipe for a check: {}", std::strerror(errno)));
  const pid_t child = ::fork();
  if (child < 0)
    throw Error("E_INTERNAL", fmt::format("no process for a check: {}", std::strerror(errno)));
  if (child == 0) {
    ::close(pipe[0]);
    result_pipe = pipe[1];
    run_child(check, subject);
  }
  ::close(pipe[1]);
  std::string text;
  const bool in_time = read_until(pipe[0], start + deadline, text);
  ::close(pipe[0]);
  Outcome outcome;
  outcome.check = check;
  int status = 0;
  const bool ended = check.exits && ends_by(child, start + deadline, status);
  if (check.exits && !text.empty() && (!ended || status != 0)) {
    outcome.findings.push_back({"the process that used it ends by exit()",
                                ended ? ending(status) : "it did not end, and was killed"});
  }
  ::kill(-child, SIGKILL);  // and what it left behind
  if (!ended) {
    ::kill(child, SIGKILL);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  fill(outcome, text, in_time, status, deadline);
  outcome.seconds = watch.seconds();
  return outcome;
}

}  // namespace moecollab::conformance
