#include "conformance/surroundings.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cfenv>
#include <clocale>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <vector>

#include "base/strings.h"

namespace moecollab::conformance {
namespace {

constexpr unsigned kSequence = 4711;

std::set<std::string> open_descriptors() {
  std::set<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the one that lists them
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    const bool of_host = target.string().starts_with("/memfd:moecollab-expert");  // the library
    if (!gone && !of_host && !target.string().ends_with("/fd"))
      all.insert(entry.path().filename().string() + " (" + escaped(target.string(), 80) + ")");
  }
  return all;
}

bool same_bytes(const auto& a, const auto& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

}  // namespace

void begin_sequence() {
  ::srandom(kSequence);
  ::srand48(kSequence);
}

Surroundings Surroundings::now() {
  Surroundings s;
  s.locale = std::setlocale(LC_ALL, nullptr);
  s.folder = std::filesystem::current_path();
  for (char** variable = environ; *variable != nullptr; ++variable)
    s.environment += std::string(*variable) + "\n";
  s.mask = ::umask(0);
  ::umask(s.mask);
  s.rounding = std::fegetround();
#if defined(__x86_64__)
  s.float_control = __builtin_ia32_stmxcsr() & ~0x3Fu;  // without the flags of past operations
#else
  s.float_control = 0;
#endif
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0)
      s.handlers[static_cast<size_t>(signal)] = reinterpret_cast<void*>(action.sa_sigaction);
  }
  ::sigprocmask(SIG_SETMASK, nullptr, &s.blocked);
  for (const auto which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF})
    ::getitimer(which, &s.timers[static_cast<size_t>(which)]);
  for (size_t which = 0; which < s.limits.size(); ++which)
    ::getrlimit(static_cast<__rlimit_resource>(which), &s.limits[which]);
  ::sched_getaffinity(0, sizeof s.cores, &s.cores);
  s.nice = ::getpriority(PRIO_PROCESS, 0);
  ::prctl(PR_GET_NAME, s.thread_name.data());
  s.descriptors = open_descriptors();
  s.drawn = ::random();
  s.drawn48 = ::lrand48();
  begin_sequence();
  s.thread_locale = ::uselocale(nullptr);
  s.threads = static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
  return s;
}

std::string opened_since(const Surroundings& before, const Surroundings& after) {
  std::vector<std::string> opened;
  std::ranges::set_difference(after.descriptors, before.descriptors, std::back_inserter(opened));
  return join(opened, ", ");
}

void compare(const Surroundings& before, const Surroundings& after, const char* when,
             bool may_start_threads, Findings& findings) {
  const auto same = [&](const char* what, bool equal, const char* cure = "") {
    if (!equal)
      findings.add(fmt::format("{} leaves {} as it was", when, what), "it is another now", cure);
  };
  same("the locale", before.locale == after.locale,
       "read and write numbers by std::from_chars() and std::to_chars(), which know no locale");
  same("the working folder", before.folder == after.folder, "use absolute paths, or none");
  same("the environment", before.environment == after.environment,
       "give settings to your own functions as arguments");
  same("the umask", before.mask == after.mask);
  same("the rounding mode", before.rounding == after.rounding,
       "use std::floor() and the like instead of another rounding mode");
  same("the floating-point mode (flush to zero, traps)",
       before.float_control == after.float_control,
       "link without -ffast-math and -Ofast, whose start-up code sets it; without _MM_SET_…_MODE");
  same("the signal handlers", before.handlers == after.handlers,
       "signals are the host's: handle none");
  same("the blocked signals", same_bytes(before.blocked, after.blocked),
       "signals are the host's: block none");
  same("the timers", same_bytes(before.timers, after.timers));
  same("the resource limits", same_bytes(before.limits, after.limits));
  same("the cores it may run on", same_bytes(before.cores, after.cores));
  same("the priority", before.nice == after.nice);
  same("the thread's name", before.thread_name == after.thread_name);
  same("the thread's locale", before.thread_locale == after.thread_locale);
  same("the sequence of random()", before.drawn == after.drawn);
  same("the sequence of drand48()", before.drawn48 == after.drawn48);
  if (!std::ranges::includes(after.descriptors, before.descriptors))
    findings.add(fmt::format("{} closes only its own files", when), "another was closed");
  if (!may_start_threads && after.threads > before.threads)
    findings.add(fmt::format("{} starts no thread", when),
                 fmt::format("{} threads, {} before", after.threads, before.threads));
}

}  // namespace moecollab::conformance
