#include "experts/active_call.h"

#include <unistd.h>

#include <csignal>
#include <cstring>

namespace moecollab::experts {
namespace {

thread_local const char* t_expert = nullptr;
thread_local const char* t_call = nullptr;

// All below may interrupt anything: no allocation, no locks.
struct Line {
  char text[512];
  size_t size = 0;
  void add(const char* part) {
    const size_t more = ::strnlen(part, sizeof text - size);
    std::memcpy(text + size, part, more);
    size += more;
  }
};

const char* name_of(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGILL:
      return "SIGILL";
    default:
      return "SIGABRT";
  }
}

void on_crash(int signal) {
  if (t_expert != nullptr) {
    Line line;
    line.add("error: E_INTERNAL: this process dies of ");
    line.add(name_of(signal));
    line.add(" in ");
    line.add(t_call);
    line.add("() of expert ");
    line.add(t_expert);
    line.add("\n  --isolation process runs experts in processes of their own\n");
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.text, line.size);
  }
  // The handler is gone by now: the same fault, or abort(), ends the process as it would have.
}

}  // namespace

ActiveCall::ActiveCall(const std::string& expert, const char* call) noexcept
    : expert_before_(t_expert), call_before_(t_call) {
  t_expert = expert.c_str();
  t_call = call;
}

ActiveCall::~ActiveCall() {
  t_expert = expert_before_;
  t_call = call_before_;
}

void name_experts_in_crashes() {
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_DFL) continue;
    struct sigaction action {};
    action.sa_handler = &on_crash;
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_NODEFER;
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace moecollab::experts
