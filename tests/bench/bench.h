// What the benchmarks' main functions share.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "base/compute.h"

namespace moecollab {

// Starts this benchmark again with the program's way of waiting for threads: libgomp has read the
// environment before main() begins.
inline void wait_as_the_program(char** arguments) {
  constexpr const char* kDone = "MOECOLLAB_BENCH_WAITS";
  if (std::getenv(kDone) != nullptr) return;
  set_thread_waiting();
  ::setenv(kDone, "1", 1);
  ::execv("/proc/self/exe", arguments);
}

// For main(), which returns it.
inline int usage(const char* arguments) {
  fmt::print(stderr, "usage: {}\n", arguments);
  return 2;
}

}  // namespace moecollab
