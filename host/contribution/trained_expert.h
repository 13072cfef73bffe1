// From a plan and a domain's texts to an expert that is installed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "contribution/expert_training.h"

namespace moecollab::contribution {

// What is said about an expert that was trained and installed.
struct ExpertTrained {
  std::string name, version, kind, domain, label_space;
  std::string sha256;    // of its package
  int32_t epochs = 0;    // chosen
  int64_t held_out = 0;  // texts
  int32_t folds = 1;
  std::vector<std::string> teachers;  // that it was distilled from
  int64_t cross_fitted = 0;           // further texts that the model of a fold answered
  // Figures of the epoch that was chosen; none: no text was held out.
  std::optional<double> held_out_accuracy, held_out_loss;
  std::vector<training::EpochRecord> history;
};
Json to_json(const ExpertTrained& trained);
ExpertTrained expert_trained_from_json(const Json& json);

// Trains the plan's kind on the dataset, which has two labels or more, writes its package, keeps
// its answers on the held-out texts, and installs it: as 1.0.0, or with `force` as the version
// after the highest (else E_REG_EXISTS). A run that resumes one which was killed after its package
// was written does the last steps only. The pool may tolerate refused experts; what is installed is
// not in it. Ranks share the training; then the first alone installs, works alone with the pool,
// and says what was trained. Several refuse kinds that learn by themselves with E_CONFIG.
ExpertTrained train_expert(const ExpertPlan& plan, const data::Dataset& dataset,
                           pipeline::Pool& pool, const TextWeights& weights = {});

}  // namespace moecollab::contribution
