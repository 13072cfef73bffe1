// What an operator asks of a registry that needs no expert's code: each is one change.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "registry/change.h"
#include "registry/lock.h"
#include "registry/operation.h"
#include "registry/package.h"
#include "registry/registry_file.h"

namespace moecollab::registry {

// An entry of registry.toml and the version that it comes to; the version is empty if there is
// none. Both empty: there is no such entry.
struct Selection {
  std::optional<ExpertEntry> entry;
  std::string version;
};

struct OperationResult {
  std::string name;
  Selection before, after;
  std::optional<int64_t> change;  // its number; none: nothing differs, or a dry run
  bool differs = false;

  Json to_json() const;
};

// They throw E_CONFIG for a name that no [[expert]] has, with the nearest; E_REG_* for a registry
// that cannot be read or whose text is written so that no single key of it can be replaced, and
// E_WRITE.
OperationResult enable(const Operation& operation, const std::string& name, bool enabled);
// Selects this installed version, or the one that is selected now if it is empty, whatever is
// installed later. Throws E_REG_MISSING for a version that is not installed, E_CONFIG for one
// outside of the entry's range, and E_PLUG_ROLLBACK for one lower than the lock's unless
// `allow_downgrade`.
OperationResult pin(const Operation& operation, const std::string& name, const std::string& version,
                    bool allow_downgrade);
OperationResult unpin(const Operation& operation, const std::string& name);
// Removes the entry; the packages stay until gc().
OperationResult remove_expert(const Operation& operation, const std::string& name);

// Throws E_DESC_MISMATCH for a package of another id than the entry asks for.
void require_id(const Package& package, const ExpertEntry& entry);

// Throws E_CONFIG unless the registry has the expert, unpinned, with a range that holds the
// package's version, and at a lower one; E_DESC_MISMATCH for a package of another id.
void require_upgrade(const fs::path& registry, const Package& package, const std::string& name);

// The folder of the highest installed version in the range of the expert's entry. Throws E_CONFIG
// if there is no entry, and E_REG_MISSING if there is no such version.
fs::path newest_of_range(const fs::path& registry, const std::string& name);

// What the lock says beside what it would say if it were written now; empty if equal.
std::vector<std::string> lock_differences(const fs::path& registry);
// Writes the lock again; returns the change's number, 0 if it was right.
int64_t write_lock_again(const Operation& operation);

}  // namespace moecollab::registry
