// The end of an installed expert's probation.
#pragma once

#include "contribution/candidate_trial.h"
#include "contribution/trial_texts.h"
#include "registry/history.h"

namespace moecollab::contribution {

// Throws E_CONFIG unless the files are new to the gate and to the trial's candidate: training files
// are not, nor is one that gate.toml or the package's provenance names by digest.
void require_fresh(const Trial& trial, const TrialFiles& files);

// Records in the lock, as one change, that the package's probation is over.
void end_probation(const fs::path& registry, const std::string& package_sha256,
                   const registry::ChangeNote& note, Log log);

}  // namespace moecollab::contribution
