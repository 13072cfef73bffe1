// A candidate beside the installed experts, as if it were one of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/open_gate.h"

namespace moecollab::contribution {

// The candidate, loaded and checked, in a copy of the pool's union of labels. The pool must outlive
// it.
struct Trial {
  std::optional<pipeline::InstalledExpert> loaded;  // the candidate; none: it is the pool's
  fusion::LabelUnion labels;
  std::vector<pipeline::InstalledExpert*> experts;  // all that are ready, then the candidate
  std::vector<fusion::ExpertLabels> expert_labels;  // of these, in `labels`
  std::optional<size_t> replaced;                   // of these, the one that would leave for it
  std::optional<pipeline::GateFile> gate_file;      // if there is one that fits what is installed
  std::optional<pipeline::RoutedGate> gate;         // what it comes to
  at::Tensor caps;  // [E] of the gate's experts, then the candidate; undefined: no bound

  pipeline::InstalledExpert& candidate() const { return *experts.back(); }
  bool is_installed() const { return !loaded; }
};

// Loads the package and runs its probe. An installed expert `name` of the same id and a lower
// version would be replaced by it. Experts are at the temperatures of the gate, if one fits what is
// installed; if none does, a note in `notes` says why. Throws E_DESC_LABELS for a kind, E_CONFIG
// for a package that is installed, and as a load of the package does.
std::unique_ptr<Trial> open_trial(pipeline::Pool& pool, const registry::Package& package,
                                  const std::string& name, Log notes);

// The same of an installed expert that is on probation, at the weight that it would have without:
// with it against without it. Throws E_CONFIG for a name that is not ready or not on probation.
std::unique_ptr<Trial> open_trial(pipeline::Pool& pool, const std::string& name, Log notes);

}  // namespace moecollab::contribution
