// Counts the threads that one loaded library starts.
#pragma once

#include <cstdint>

namespace moecollab::conformance {

// Points the library's imports of pthread_create() and thrd_create() at functions that count, for
// the rest of the process; nobody else's. A std::thread of a shared libstdc++ and OpenMP's are not
// counted: their runtimes start them. One library a process.
class ThreadStarts {
 public:
  // `code`: any function of the library.
  explicit ThreadStarts(const void* code);
  int64_t count() const;
};

}  // namespace moecollab::conformance
