// What something took: seconds and memory.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

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

// The seconds of the fastest of at most `runs` calls, and one at least; none begins after `enough`
// seconds in all.
template <typename Call>
double least_seconds(int runs, const Call& call,
                     double enough = std::numeric_limits<double>::infinity()) {
  const Stopwatch all;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < runs && (i == 0 || all.seconds() < enough); ++i) {
    const Stopwatch watch;
    call();
    least = std::min(least, watch.seconds());
  }
  return least;
}

// The most memory that this process has held so far.
int64_t peak_rss_bytes();
// What it holds now; 0 if the system does not say.
int64_t resident_bytes();

}  // namespace moecollab
