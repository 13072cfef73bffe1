// Training one expert on one domain, through the ABI.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "experts/expert.h"
#include "training/checkpoint.h"
#include "training/learner.h"

namespace moecollab::training {

struct ExpertTrainingOptions {
  Recipe recipe;
  int32_t patience = 5;  // epochs without a better one before it stops
  bool refit = true;     // train again on all texts with the epoch count found
  // Where an unfinished run is kept, or empty; how often; all that the result depends on, by name;
  // and whether to continue from what is there.
  fs::path checkpoints;
  double checkpoint_seconds = 30;
  Json run;
  bool resume = false;
};

// Throws E_CONFIG for a value outside its range, before anything is read.
void validate(const ExpertTrainingOptions& options);

struct EpochRecord {
  std::string phase;  // "choose" (held-out texts left out), "fold 2" …, or "refit" (all texts)
  int32_t epoch = 0;  // from 1
  Precision precision = Precision::kFp32;  // of the run
  EpochFigures training;
  std::optional<double> held_out_loss, held_out_accuracy;  // in phase "choose"
  double seconds = 0;
  int64_t peak_rss_bytes = 0;
};
Json to_json(const EpochRecord& record);
Json to_json(const std::vector<EpochRecord>& history);
std::vector<EpochRecord> history_from_json(const Json& list);

struct TrainedExpert {
  std::unique_ptr<experts::Expert> expert;  // with what it learnt
  int32_t epochs = 0;                       // chosen
  std::vector<EpochRecord> history;
  // The rows of the folds, and what the models that did not see them answer [rows, C]. The first
  // `held_out` of them chose the epoch.
  std::vector<int64_t> held_out_rows;
  at::Tensor held_out_logits;
  int64_t held_out = 0;
  std::unique_ptr<Checkpoints> checkpoints;  // to be finished when the expert is in its place
};

// Gives an untrained expert.
using MakeExpert = std::function<std::unique_ptr<experts::Expert>()>;

// Trains on what is not held out, chooses the epoch by the held-out texts, for each further fold
// trains an expert on all other texts, which answers the fold's (cross-fitting), then (refit)
// trains a fresh expert on everything, all for as many epochs of the same schedule. The best epoch
// has the lowest held-out loss; under a rate that falls to 0 it is the one of highest accuracy, the
// later of equal ones: loss rises there while accuracy still does, and temperatures correct what it
// measures. A loss that is not finite is E_TRAIN_DIVERGED; an interrupt saves a checkpoint and is
// E_INTERRUPTED. A run that continues from a checkpoint ends in the same bits. The ranks of the
// context share steps and answers; the first alone has the checkpoints, hands the newest to the
// others at the start, also saves one if another rank is lost, and calls `on_epoch`.
TrainedExpert train_expert(
    const MakeExpert& make, const TrainingSet& data, const ExpertTrainingOptions& options,
    const RunContext& context,
    const std::function<void(const std::vector<EpochRecord>&)>& on_epoch = {});

// Logits of the rows, in their order, asked for a thousand at a time.
at::Tensor forward_rows(experts::Expert& expert, const encoder::Features& features,
                        const std::vector<int64_t>& rows);

}  // namespace moecollab::training
