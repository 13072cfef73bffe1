// What is asked of `train`. Torch-free.
#pragma once

#include <cstdint>

#include "contribution/expert_options.h"

namespace moecollab::contribution {

struct AlternationOptions {
  int rounds = 3;       // at most, 1 to 100
  bool joint = false;   // one round, in which experts and a gate learn end to end
  int32_t epochs = 10;  // of it
  CheckpointOptions checkpoints;
  uint64_t seed = 1;
};

}  // namespace moecollab::contribution
