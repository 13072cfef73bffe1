// The profile that a gate was fitted with, for texts to be compared with.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "evaluation/profile.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"

namespace moecollab::evaluation {

struct FittedProfiles {
  Profiles profiles;    // of the held-out texts, by label space; empty: none to compare with
  std::string missing;  // then why
};

// `file`: what the collaboration was made from. Throws E_GATE for a profile that is none.
FittedProfiles fitted_profiles(const pipeline::Collaboration& collaboration,
                               const pipeline::GateFile& file);

}  // namespace moecollab::evaluation
