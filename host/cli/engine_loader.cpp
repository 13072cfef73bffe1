#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/console.h"
#include "base/error.h"
#include "base/installation.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

engine::Engine* g_engine = nullptr;
volatile std::sig_atomic_t g_signal = 0;  // the first one

// First: stop at the next step and leave things in order. Second: at once.
void on_interrupt(int signal) {
  if (g_signal != 0) ::_exit(128 + signal);
  g_signal = signal;
  if (g_engine != nullptr) g_engine->request_stop();
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a read on a pipe returns
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

int interrupted_status() { return 128 + (g_signal == 0 ? SIGINT : g_signal); }

engine::Engine& open_engine() {
  if (g_engine != nullptr) return *g_engine;
  // libgomp reads this once, when it is loaded: spinning threads would slow a busy machine down.
  ::setenv("OMP_WAIT_POLICY", "passive", /*overwrite=*/0);
  const fs::path library = library_folder() / "libmoecollab_engine.so";
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    throw Error("E_INTERNAL",
                fmt::format("the engine cannot be loaded: {}",
                            reason == nullptr ? "no reason given" : reason),
                "run `make setup build`, and `moecollab doctor` to see what is missing");
  }
  using Entry = engine::Engine* (*)();
  const auto entry = reinterpret_cast<Entry>(::dlsym(handle, "moecollab_engine"));
  if (entry == nullptr)
    throw Error("E_INTERNAL", fmt::format("{} is not this program's engine", library.string()),
                "run `make build`");
  g_engine = entry();
  g_engine->set_console(console());
  catch_interrupts();
  return *g_engine;
}

}  // namespace moecollab::cli
