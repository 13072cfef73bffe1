// What something took: seconds and memory.
#pragma once

#include <chrono>
#include <cstdint>

namespace moecollab {

// Runs from its making on; the clock never jumps.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  void restart() { start_ = std::chrono::steady_clock::now(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The most memory that this process has held so far.
int64_t peak_rss_bytes();

}  // namespace moecollab
