// State files that the last change wrote and that are gone or damaged now. The history keeps their
// contents, so that they can be put back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "registry/history.h"

namespace moecollab::registry {

// A lock that is missing or cannot be read; a gate.toml that is no TOML with a schema; and, unless
// gate.toml was replaced by another one, tensors that are not those that came with it, or missing,
// and what else of the gate has other contents. All else that differs is a person's edit. Empty
// while a change is under way, and if the history cannot be read.
std::vector<std::string> damaged_files(const fs::path& registry);

// What the last change left as that file; none if it left none, or the history lacks it.
std::optional<std::string> kept_content(const fs::path& registry, const std::string& file);

// What a damaged file is kept as, beside it.
inline constexpr char kDamaged[] = ".damaged";

// Puts back what can be, with a warning each that says where the damaged one is kept. The caller
// has the registry's lock. Throws E_WRITE.
void put_back_damaged(const fs::path& registry, Log log);

// What to say of a lock that is missing although the last change wrote one: whoever reads the
// registry takes the history's copy, or, without one, of each expert the highest version.
struct LostLock {
  std::string what, hint;
};
std::optional<LostLock> lost_lock(const fs::path& registry);

// The way on from damaged files of a registry.
inline constexpr char kPutBackHint[] = "`moecollab experts lock` puts back what the history has";

}  // namespace moecollab::registry
