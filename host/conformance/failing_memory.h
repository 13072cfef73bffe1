// Allocations of one loaded library that fail on request; nobody else's do.
#pragma once

#include <cstdint>

namespace moecollab::conformance {

// Points the library's imports of malloc, calloc, realloc, aligned_alloc, posix_memalign and
// operator new at functions that count, for the rest of the process. What libc allocates inside its
// own functions (strdup, thread-local storage) is not counted. One library a process, calls of one
// thread at a time.
class FailingMemory {
 public:
  // `code`: any function of the library.
  explicit FailingMemory(const void* code);

  // The allocation after `n` others fails, once.
  void fail_after(int64_t n);
  // None fails any more; whether one did since fail_after().
  bool stop();
};

}  // namespace moecollab::conformance
