// From a package folder to an entry of the registry.
#pragma once

#include <string>

#include "pipeline/pool.h"
#include "registry/package.h"

namespace moecollab::contribution {

// Makes FOLDER a registry of 0 experts on this encoder, unless it is one. Relative encoder paths
// are written as absolute ones, so that the registry works from anywhere. Throws E_WRITE.
void ensure_registry(const fs::path& folder, const encoder::EncoderSettings& encoder);

// Copies the package to `target` in the registry's folder, in place of what is there: beside it,
// then renamed, so that a half-copied package never has a package's name; what a killed process
// left beside it is removed. Throws E_WRITE.
void place_package(const fs::path& registry_folder, const registry::Package& package,
                   const fs::path& target);

// Copies the package to experts/<name>/<version>/ and, where registry.toml has no entry of that
// name, appends one for versions compatible with this one. A version that is there already is
// E_REG_EXISTS, unless its package is the very same; a failure leaves the registry as it was.
void install(const fs::path& registry_folder, const registry::Package& package,
             const std::string& name);

// Writes what the pool found into registry.lock.toml: versions, digests, states, probe records.
void update_lock(const pipeline::Pool& pool, std::vector<pipeline::InstalledExpert>& experts);

}  // namespace moecollab::contribution
