// A candidate beside the installed experts, as if it were one of them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "pipeline/open_gate.h"

namespace moecollab::contribution {

// The candidate, loaded and checked, in a copy of the pool's union of labels. The pool must outlive
// it.
struct Trial {
  pipeline::InstalledExpert candidate;
  fusion::LabelUnion labels;
  std::vector<pipeline::InstalledExpert*> experts;  // all that are ready, then the candidate
  std::vector<fusion::ExpertLabels> expert_labels;  // of these, in `labels`
  std::optional<pipeline::GateFile> gate_file;      // if there is one that fits what is installed
  std::optional<pipeline::RoutedGate> gate;         // what it comes to
  at::Tensor caps;  // [E] of the gate's experts, then the candidate; undefined: no bound
};

// Loads the package and runs its probe. Experts are at the temperatures of the gate, if one fits
// what is installed; if none does, a note in `notes` says why. Throws E_DESC_LABELS for a kind,
// E_CONFIG for a package that is installed, and as a load of the package does.
std::unique_ptr<Trial> open_trial(pipeline::Pool& pool, const registry::Package& package,
                                  Log notes);

}  // namespace moecollab::contribution
