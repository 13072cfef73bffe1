// Training steps whose loss or gradient is not finite.
#pragma once

#include <cstdint>

namespace moecollab::training {

// Such a step is skipped and counted; ten in a row stop a run.
class StepGuard {
 public:
  void taken() { in_a_row_ = 0; }
  // Counts a skipped step; whether the run has to stop.
  [[nodiscard]] bool skipped() {
    ++count_;
    return ++in_a_row_ >= kMostInARow;
  }

  int64_t count() const { return count_; }  // of skipped steps
  int in_a_row() const { return in_a_row_; }
  // From a checkpoint.
  void set_in_a_row(int steps) { in_a_row_ = steps; }

 private:
  static constexpr int kMostInARow = 10;
  int64_t count_ = 0;
  int in_a_row_ = 0;
};

}  // namespace moecollab::training
