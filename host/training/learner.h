// The ways in which an expert learns, behind one interface.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/compute.h"
#include "base/ranks.h"
#include "encoder/features.h"
#include "experts/expert.h"
#include "training/checkpoint.h"
#include "training/schedule.h"

namespace moecollab::training {

// How one expert is trained. A kind's manifest states its own under [training].
struct Recipe {
  int32_t epochs = 60;  // at most, and what the schedule's length is
  int64_t batch = 32;   // rows of a step
  Schedule schedule;    // of AdamW, for experts that the host's optimiser trains
  double clip = 0;      // largest norm of all gradients together; 0: any
  bool bucket = false;  // rows of similar length share a step
  uint64_t seed = 1;
  Precision precision = Precision::kFp32;  // of the expert's products
};

// Rows of one domain: features, classes (positions in the expert's labels), and what is held out.
struct TrainingSet {
  encoder::Features features;
  std::vector<int32_t> labels;  // [n]
  std::vector<int32_t> folds;   // [n] data::folds(); none is 0: nothing to choose the epoch on
  std::vector<float> weights;   // [n] > 0, mean 1; empty: all 1
  // [n, C] float32, rows sum to 1: what the loss is of instead of the labels; undefined: of these.
  // For experts that the host's optimiser trains.
  at::Tensor targets;
};

// What one epoch cost and gave.
struct EpochFigures {
  double loss = 0;      // mean over rows of the steps taken; NaN: none, or the expert does not say
  int64_t tokens = 0;   // real tokens that it saw; 0 for experts that read pooled features or text
  int64_t skipped = 0;  // steps whose loss or gradient was not finite
};

// Trains one expert, epoch by epoch. Borrows the expert, which keeps what was learnt; data and rows
// are read during the call only. Calls: restore() at most once and before the first epoch(), epochs
// with ascending numbers from 0, finish() after the last. Not thread-safe. Throws what the expert
// throws.
class Learner {
 public:
  virtual ~Learner() = default;
  // Learns from these rows of `data` in an order that seed and epoch fix. `after_step` runs after
  // every step and may throw. A learner with state() continues after that step in the next call of
  // the same epoch; an expert that learns by itself would see the epoch's steps again. Throws
  // E_TRAIN_DIVERGED after ten steps in a row that had to be skipped.
  virtual EpochFigures epoch(const TrainingSet& data, const std::vector<int64_t>& rows,
                             int32_t epoch, const std::function<void()>& after_step) = 0;
  // False if another epoch would change nothing.
  virtual bool wants_more() const { return true; }
  // Ends the training of an expert that learns by itself; nothing to do for others.
  virtual void finish() {}
  // All that later steps depend on; nullopt if the expert cannot be continued: it learns by
  // itself, or changes more in training than its parameters (state/1).
  virtual std::optional<CheckpointState> state() const { return std::nullopt; }
  // Continues from what state() gave for the same expert, recipe and rows; for learners that have
  // one. Throws E_CKPT if a tensor is missing or has another shape.
  virtual void restore(const CheckpointState&) {}
};

// By the host's AdamW if the expert has train/1 and params/1, by itself if it has fit/1, else
// E_TRAIN_UNSUPPORTED. Binds the parameters, or begins the fit. `rows`: of one epoch. With `ranks`,
// each computes the gradients of its shards of every step, and all take the same steps, which do
// not depend on the number of ranks; an expert with fit/1 learns on each by itself.
std::unique_ptr<Learner> make_learner(experts::Expert& expert, const Recipe& recipe, int64_t rows,
                                      Ranks* ranks = nullptr);

// Row orders of an epoch's steps: shuffled by seed and epoch; with `bucket`, runs of 16 steps are
// sorted by length and their steps shuffled.
std::vector<std::vector<int64_t>> plan_steps(const TrainingSet& data,
                                             const std::vector<int64_t>& rows, const Recipe& recipe,
                                             int32_t epoch);

}  // namespace moecollab::training
