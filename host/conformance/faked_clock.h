// A clock that tells one loaded library another time.
#pragma once

#include <cstdint>

namespace moecollab::conformance {

// Points the library's imports of time(), clock_gettime(), gettimeofday() and timespec_get() at
// functions that add to what the system says; nobody else's. One library a process.
class FakedClock {
 public:
  // `code`: any function of the library.
  explicit FakedClock(const void* code);
  // The clocks go ahead by that from now on.
  void set_ahead(int64_t seconds);
};

}  // namespace moecollab::conformance
