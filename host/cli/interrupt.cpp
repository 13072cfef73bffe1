#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace moecollab::cli {
namespace {

volatile std::sig_atomic_t g_signal = 0;  // the first one
std::atomic<bool> g_stop = false;

void on_interrupt(int signal) {
  if (g_signal != 0) ::_exit(128 + signal);
  g_signal = signal;
  g_stop = true;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a read on a pipe returns
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

void request_stop() { g_stop = true; }

StopToken interrupt_token() { return StopToken(g_stop); }

int interrupted_status() { return 128 + (g_signal == 0 ? SIGINT : g_signal); }

}  // namespace moecollab::cli
