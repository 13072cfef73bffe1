// Training a kind: from what is asked for and a lesson to what was learnt.
#pragma once

#include <string>

#include "contribution/expert_options.h"
#include "contribution/lesson.h"
#include "pipeline/pool.h"
#include "registry/manifest.h"
#include "registry/package.h"
#include "registry/trust.h"
#include "training/expert_trainer.h"

namespace moecollab::contribution {

// The kind that was asked for, and how it will be trained.
struct ExpertPlan {
  ExpertOptions asked;
  registry::PackageFolder folder;  // of the kind; what FILE.moec held lies there as long as this
  registry::Package kind;
  ExpertRecipe recipe;
  training::ExpertTrainingOptions training;  // its checkpoints' folder and facts are still empty
};

// Throws E_CONFIG for a name, kind or setting that cannot be; reads no data.
ExpertPlan plan_expert(const ExpertOptions& asked);

// The kind's manifest as an expert of the plan begins with it: name, [config], how it was trained.
registry::Manifest begin_manifest(const ExpertPlan& plan);

// Trains the kind on the lesson, under a manifest that is complete but for version and layers,
// which become those that the expert reads. Leaves registry/history/<name>.jsonl, and
// registry::checkpoint_folder() until its checkpoints are finished.
training::TrainedExpert train_kind(const ExpertPlan& plan, pipeline::Pool& pool,
                                   registry::Manifest& manifest, const Lesson& lesson);

// registry/history/<name>.jsonl: a line per epoch, the whole file again each time. Throws E_WRITE.
void write_history(const fs::path& registry, const std::string& name,
                   const std::vector<training::EpochRecord>& history);

}  // namespace moecollab::contribution
