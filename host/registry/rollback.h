// States that the history keeps: putting one back, and what was known in one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "registry/history.h"
#include "registry/lock.h"
#include "registry/operation.h"

namespace moecollab::registry {

// Whether the state before that change can be put back: its contents and packages are there.
bool can_roll_back(const fs::path& registry, const HistoryEntry& entry);

// Whether the package was trained in this registry, by its lock or one that the history keeps.
bool was_made_here(const fs::path& registry, const std::string& sha256);

// Whether the lock, or one that the history keeps, selected this package under that name.
bool was_selected(const fs::path& registry, const std::string& name, const std::string& sha256);

// Puts back the state before that change (without a number: before the last one that is not
// passive), bit for bit, and records this as a change of its own.
// Returns its number, 0 if nothing differs. Throws E_CONFIG for a number that is none,
// E_REG_MISSING naming the packages of that state that are not installed any more, E_REG_HISTORY
// for contents that are gone or damaged: nothing is changed then. What was edited by hand since the
// last change is warned about. The present state need not be readable.
struct RollbackResult {
  int64_t change = 0;
  int64_t before_change = 0;          // whose state before is put back
  std::string command;                // of that change
  std::vector<std::string> files;     // that differ
  std::vector<std::string> versions;  // "news 1.1.0 -> 1.0.0"
};
RollbackResult rollback(const Operation& operation, std::optional<int64_t> number);

// "news 1.1.0 -> 1.0.0", "legal none -> 1.0.0", of what two locks select.
std::vector<std::string> version_changes(const Lock& before, const Lock& after);

}  // namespace moecollab::registry
