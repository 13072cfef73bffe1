// Warnings of a rollback: what it changes beside what was asked for.
#pragma once

#include <string>

#include "base/run_context.h"
#include "registry/history.h"
#include "registry/lock.h"

namespace moecollab::registry {

// Files of the state that were edited since the newest change.
void warn_of_edits(const HistoryEntry& newest, const StateDigests& present, Log log);

// Packages that were quarantined since, and run again.
void warn_of_freed(const Lock& present, const Lock& after, Log log);

// Tables of registry.toml that say something else afterwards, but for [[expert]], and above all
// what is not revoked any more. What cannot be read is passed over.
void warn_of_settings(const fs::path& registry, const std::string& after, Log log);

}  // namespace moecollab::registry
