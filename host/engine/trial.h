// What `admit` judges: a candidate beside the installed experts, and the texts that it is judged
// on.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/json.h"
#include "pipeline/open_gate.h"
#include "training/text_collection.h"

namespace moecollab::engine {

// The candidate as if it were installed: loaded and checked, in a copy of the pool's union.
struct Trial {
  pipeline::InstalledExpert candidate;
  fusion::LabelUnion labels;
  std::vector<pipeline::InstalledExpert*> experts;  // all that are ready, then the candidate
  std::vector<fusion::ExpertLabels> expert_labels;  // of these, in `labels`
  std::optional<pipeline::GateFile> gate_file;      // if there is one that fits what is installed
  std::optional<pipeline::RoutedGate> gate;         // what it comes to
};

// Loads the package and runs its probe. Experts are at the temperatures of the gate, if one fits
// what is installed; if none does, a note in `notes` says why. Throws E_DESC_LABELS for a kind,
// E_CONFIG for a package that is installed, and as a load of the package does.
std::unique_ptr<Trial> open_trial(pipeline::Pool& pool, const registry::Package& package,
                                  Log notes);

// The texts of these files: the held-out ones in the seed's order, or all. Files of domains that no
// expert knows are left out.
std::vector<training::ChosenTexts> choose(const pipeline::Pool& pool, const Trial& trial,
                                          const std::vector<data::Dataset>& datasets,
                                          bool held_out_only, uint64_t seed);

// Throws E_DATA unless some of the texts are of the candidate's domain and label space.
void require_own_domain(const Trial& trial, const std::vector<training::ChosenTexts>& chosen);

}  // namespace moecollab::engine
