// A round of `train --joint`: experts learn again from the start, together with a gate.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "contribution/alternation_options.h"
#include "contribution/registry_snapshot.h"
#include "data/dataset.h"
#include "pipeline/pool.h"
#include "training/joint_trainer.h"

namespace moecollab::contribution {

// An expert that learnt again in a round.
struct ExpertLearnt {
  struct Alone {  // not of a joint round
    int32_t epochs = 0;
    std::optional<double> held_out_accuracy;
  };
  std::string name, version;
  std::optional<Alone> alone;
};

struct JointFigures {
  int32_t epochs = 0;  // the best by held-out loss
  std::vector<training::JointEpoch> history;
};

struct JointRound {
  JointFigures figures;
  std::vector<ExpertLearnt> experts;
};

// Trains every expert of the gate that has moecollab.train/1, learns nothing but parameters and was
// trained in this registry, on the texts that are not held out, and installs each as its next
// version, with its answers on the held-out texts; the gate that learnt with them is dropped, to be
// fitted as usual. Files of domains without such an expert are left out. The snapshot learns of
// each expert before its installation. Throws E_TRAIN_UNSUPPORTED if there is no such expert.
JointRound train_jointly(const AlternationOptions& options,
                         const std::vector<data::Dataset>& datasets,
                         const pipeline::PoolOptions& open, RegistrySnapshot& before);

}  // namespace moecollab::contribution
