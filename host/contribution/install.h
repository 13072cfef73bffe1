// From a package folder to an entry of the registry.
#pragma once

#include <string>

#include "base/file_lock.h"
#include "pipeline/pool.h"
#include "registry/package.h"

namespace moecollab::contribution {

// Changes of a registry take turns: whoever reads it to write it has this lock meanwhile. The
// functions below take it themselves, but for update_lock().
FileLock lock_registry(const fs::path& folder, Log log);

// Makes FOLDER a registry of 0 experts on this encoder, unless it is one. The encoder's path is
// written relative to FOLDER if both lie below one folder (`../encoder`), so that they may be moved
// together, else as absolute. Throws E_WRITE.
void ensure_registry(const fs::path& folder, const encoder::EncoderSettings& encoder, Log log);

// Copies the package to `target` in the registry's folder, in place of what is there: beside it,
// then renamed, so that a half-copied package never has a package's name; what a killed process
// left beside it is removed. Throws E_WRITE.
void place_package(const fs::path& registry_folder, const registry::Package& package,
                   const fs::path& target, Log log);

// Copies the package to experts/<name>/<version>/ and, if registry.toml has no entry of that
// name, appends one for versions compatible with this one. A version that is there already is
// E_REG_EXISTS, unless its package is the very same (copied again if its files are damaged); a
// failure leaves the registry as it was.
void install(const fs::path& registry_folder, const registry::Package& package,
             const std::string& name, Log log);

// Writes what the pool found into registry.lock.toml: versions, digests, states, probe records. The
// caller has the lock since before the pool was opened.
void update_lock(const pipeline::Pool& pool, std::vector<pipeline::InstalledExpert>& experts);

// Opens the registry again, without its cache, and writes what it finds into the lock.
void refresh_lock(pipeline::PoolOptions open);

}  // namespace moecollab::contribution
