// Learning rates over the steps of a run.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace moecollab::training {

// A linear rise over the first warmup·total steps, then constant, or falling linearly to 0 at
// `total`.
struct Schedule {
  double lr = 1e-3;
  double warmup = 0;  // share of all steps, in [0, 1)
  bool linear_decay = false;

  // Rate of step 0 … total − 1.
  double at(int64_t step, int64_t total) const {
    const auto rising = static_cast<int64_t>(std::floor(warmup * static_cast<double>(total)));
    if (step < rising) return lr * static_cast<double>(step + 1) / static_cast<double>(rising);
    if (!linear_decay) return lr;
    return lr * static_cast<double>(total - step) /
           static_cast<double>(std::max<int64_t>(1, total - rising));
  }
};

}  // namespace moecollab::training
