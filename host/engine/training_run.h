// What train-expert makes of its options, the kind's recipe and the data.
#pragma once

#include <span>
#include <string>
#include <string_view>
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

// What the provenance of a trained package says about how to train it again.
Json recipe_json(const TrainExpertOptions& options,
                 const training::ExpertTrainingOptions& training);

// The [training] that a trained package of the kind keeps.
registry::TrainingTable kept_training(const registry::TrainingTable& kind);

// n / (C·n_c) for a text of label c, so that each label counts the same in sum; mean 1.
std::vector<float> balanced_weights(const std::vector<int32_t>& labels, size_t classes);

// What an expert learns from: n texts.
struct Lesson {
  std::vector<std::string_view> texts;
  std::vector<int32_t> labels;  // class ids
  std::vector<bool> held_out;
  std::vector<float> weights;  // or empty: all 1
};

// Trains the kind on the lesson as training_options() said, under a manifest that is complete but
// for version and layers, which become those that the expert reads. Leaves
// registry/history/<name>.jsonl, and checkpoint_folder() until its checkpoints are finished.
training::TrainedExpert train_kind(const TrainExpertOptions& options,
                                   training::ExpertTrainingOptions training, pipeline::Pool& pool,
                                   const registry::Package& kind, registry::Manifest& manifest,
                                   const Lesson& lesson);
fs::path checkpoint_folder(const TrainExpertOptions& options);  // registry/checkpoints/<name>

// The package of what was trained, in a new folder (in place of what is there). The shortest texts
// give its probe vectors.
registry::Package write_trained(const fs::path& folder, const TrainExpertOptions& options,
                                const registry::Manifest& manifest, const registry::Package& kind,
                                training::TrainedExpert& trained, pipeline::Pool& pool,
                                const std::vector<std::string_view>& texts);

// KEY=VALUE of --set, the value read as JSON where it is some and as a string else.
Json parse_settings(const std::vector<std::string>& settings);

// Weights > 0 of training texts, by the text.
using TextWeights = std::unordered_map<std::string, float>;

// run_train_expert() with weighted texts (those not named: 1); empty: none has a weight.
Json train_one_expert(const TrainExpertOptions& options, const RunContext& context,
                      const TextWeights& weights);

// Whether train-expert made this very package in this registry: its provenance says how, and its
// answers on the held-out texts are there. Packages that were added say anything.
bool was_trained_here(const pipeline::InstalledExpert& expert, const fs::path& registry);

// Options that train such a package again as its provenance says.
void restore_recipe(const registry::Manifest& manifest, TrainExpertOptions& options);

Json history_json(const std::vector<training::EpochRecord>& history);

}  // namespace moecollab::engine
