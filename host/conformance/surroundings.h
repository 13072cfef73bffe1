// What a library may not change behind the host's back.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "conformance/check.h"

namespace moecollab::conformance {

struct Surroundings {
  std::string locale, folder, environment;
  mode_t mask;
  int rounding;
  unsigned int float_control;
  std::array<void*, NSIG> handlers{};
  sigset_t blocked{};
  std::array<itimerval, 3> timers{};
  std::string posix_timers;  // of timer_create()
  std::array<rlimit, RLIMIT_NLIMITS> limits{};
  cpu_set_t cores{};
  int nice = 0;
  std::array<char, 17> thread_name{};
  std::set<std::string> descriptors;
  std::set<std::string> mappings;  // writable, and shared with other processes or code
  void* thread_locale = nullptr;   // of uselocale()
  long drawn = 0,
       drawn48 = 0;  // by random() and lrand48(), of sequences that begin again each time
  size_t threads = 0;
  // LibTorch's, if it is in this process: its pool, and a number of a sequence like random()'s.
  int torch_threads = 0;
  uint32_t torch_drawn = 0;

  static Surroundings now();  // after begin_sequence(), or another now()
};

// Seeds random(), lrand48() and LibTorch's generator, whose next number a library may not take.
void begin_sequence();

// Adds a finding for whatever is another after `when` ("create()") than before. LibTorch has a pool
// of threads, and writes the code of its products.
void compare(const Surroundings& before, const Surroundings& after, const char* when,
             bool uses_torch, Findings& findings);

// The descriptors that are open after and were not before.
std::string opened_since(const Surroundings& before, const Surroundings& after);

}  // namespace moecollab::conformance
