// What train-expert makes of its options, the kind's recipe and the data.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/options.h"
#include "pipeline/pool.h"
#include "registry/manifest.h"
#include "registry/package.h"
#include "training/expert_trainer.h"

namespace moecollab::engine {

// The command line before the kind's manifest before the host's defaults. Throws E_CONFIG.
training::ExpertTrainingOptions training_options(const TrainExpertOptions& options,
                                                 const registry::TrainingTable& kind);

// n / (C·n_c) for a text of label c, so that each label counts the same in sum; mean 1.
std::vector<float> balanced_weights(const std::vector<int32_t>& labels, size_t classes);

// Digest of everything that the trained expert's bits depend on.
std::string run_digest(const registry::Manifest& manifest, const registry::Package& kind,
                       const training::ExpertTrainingOptions& training, const pipeline::Pool& pool,
                       std::span<const float> weights);

// registry/history/<name>.jsonl: an epoch a line, the whole file anew each time.
void write_history(const fs::path& registry, const std::string& name,
                   const std::vector<training::EpochRecord>& history);

// Weights > 0 of training texts, by the text.
using TextWeights = std::unordered_map<std::string, float>;

// run_train_expert() with weighted texts (those not named: 1); empty: none has a weight.
Json train_one_expert(const TrainExpertOptions& options, const TextWeights& weights);

// What the provenance of a trained package says about how to train it again, and back.
Json recipe_json(const TrainExpertOptions& options,
                 const training::ExpertTrainingOptions& training);
void restore_recipe(const registry::Manifest& manifest, TrainExpertOptions& options);

Json history_json(const std::vector<training::EpochRecord>& history);

}  // namespace moecollab::engine
