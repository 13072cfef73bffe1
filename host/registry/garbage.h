// What no state that can still be put back needs.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "registry/operations.h"
#include "registry/registry_state.h"

namespace moecollab::registry {

// Gates that stay in the history, the present one among them.
inline constexpr size_t kKeptGates = 3;

struct Garbage {
  std::vector<std::string> packages;  // "news 1.0.0"
  int64_t contents = 0;               // of history/objects/
  uint64_t bytes = 0;                 // of both
  int64_t oldest = 0;  // the change that is the farthest that can be rolled back; 0: none
};

using PackageName = std::pair<std::string, std::string>;  // name, version

// The packages that a state selects, by its lock or without one, and those that the rows of its
// gate were fitted for, installed or not.
std::set<PackageName> packages_of(const fs::path& folder, const RegistryState& state);

// Removes what the present state, and those that the history can put back with the last kKeptGates
// gates, do not need: contents of older gates, and packages that were selected once, with their
// held-out logits and verdicts. A package that was never selected stays. Entries of the history
// stay, too: they say what happened. Throws E_WRITE, E_REG_*.
Garbage collect_garbage(const Operation& operation);

}  // namespace moecollab::registry
