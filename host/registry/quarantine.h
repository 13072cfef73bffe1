// Packages that are not run any more, by the evidence in the lock.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "registry/lock.h"
#include "registry/operations.h"

namespace moecollab::registry {

// Throws E_PLUG_QUARANTINE with the evidence if the package (SHA-256 of its expert.toml) is
// quarantined.
void require_not_quarantined(const Lock& lock, const std::string& sha256);

// The package is not run from now on: one change, whose number is returned; 0 if it is quarantined
// already. Throws as Change does.
int64_t quarantine(const Operation& operation, const Quarantined& evidence);

struct Cleared {
  std::vector<Quarantined> packages;
  std::optional<int64_t> change;  // none: there is no such package, or a dry run
};
// Lets the packages of that name run again. Throws E_CONFIG for a name that neither a quarantined
// package nor an [[expert]] has, with the nearest.
Cleared clear_quarantine(const Operation& operation, const std::string& name);

}  // namespace moecollab::registry
