// Training one expert on one domain, through the ABI.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "encoder/features.h"
#include "experts/expert.h"

namespace moecollab::training {

struct ExpertTrainingOptions {
  int32_t epochs = 60;   // at most; the best on the held-out texts counts
  double lr = 3e-4;      // for experts that the host's optimiser trains
  int64_t batch = 32;    // rows
  int32_t patience = 5;  // epochs without a lower held-out loss before it stops
  uint64_t seed = 1;
  bool refit = true;  // train again on all texts with the epoch count found
};

// Throws E_CONFIG for a value outside its range, before anything is read.
void validate(const ExpertTrainingOptions& options);

// Rows of one domain: features, classes (positions in the expert's labels), and what is held out.
struct TrainingSet {
  encoder::Features features;
  std::vector<int32_t> labels;  // [n]
  std::vector<bool> held_out;   // [n]; all false: nothing to choose the epoch on, `epochs` are run
};

struct EpochRecord {
  int32_t epoch;
  double train_loss, held_out_loss, held_out_accuracy;
};

struct TrainedExpert {
  experts::Expert expert;  // with what it learnt
  int32_t epochs;          // chosen
  std::vector<EpochRecord> history;
  std::vector<int64_t> held_out_rows;
  at::Tensor held_out_logits;  // [rows, C] of the model that did not see them
};

// Trains on what is not held out, keeps the epoch with the lowest held-out loss, then (refit)
// trains a fresh expert on everything for as many epochs. `make` gives an untrained expert. An
// expert with train/1 and params/1 is trained by AdamW on the cross-entropy, one with fit/1 by
// itself; neither is E_TRAIN_UNSUPPORTED. A loss that is not finite is E_TRAIN_DIVERGED; an
// interrupt E_INTERRUPTED.
TrainedExpert train_expert(const std::function<experts::Expert()>& make, const TrainingSet& data,
                           const ExpertTrainingOptions& options);

}  // namespace moecollab::training
