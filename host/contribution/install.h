// From a package folder to an entry of the registry.
#pragma once

#include <functional>
#include <string>

#include "pipeline/pool.h"
#include "registry/change.h"
#include "registry/package.h"

namespace moecollab::contribution {

// The functions below take the registry's lock (registry/change.h) themselves, but for lock_of().

// Makes FOLDER a registry of 0 experts on this encoder, unless it is one. The encoder's path is
// written relative to FOLDER if both lie below one folder (`../encoder`), so that they may be moved
// together, else as absolute. Throws E_WRITE.
void ensure_registry(const fs::path& folder, const encoder::EncoderSettings& encoder, Log log);

// Copies the package to `target` in the registry's folder, in place of what is there: beside it,
// then renamed, so that a half-copied package never has a package's name; what a killed process
// left beside it is removed. Throws E_WRITE.
void place_package(const fs::path& registry_folder, const registry::Package& package,
                   const fs::path& target, Log log);

// Copies the package to experts/<name>/<version>/ and, as one change of the registry `open`:
// appends an entry to registry.toml for versions compatible with this one, unless it has one of
// that name; selects this version in the lock if the entry is new, or if its range holds it, no pin
// forbids it and it is higher than the one selected now, or that very one, lost; and records in the
// lock what a pool that is opened over this finds, run probe vectors included. A version that is
// there already is E_REG_EXISTS, unless its package is the very same, or one that the lock or the
// history has (copied again if what lies there was edited or damaged). A failure leaves the
// registry as it was. Returns the change's number; 0 if there was nothing to change. What was
// trained here needs no signature, and the lock remembers it by digest. `more` adds to the change:
// it is called with the registry as it will be, under its lock; what it throws undoes all.
enum class Origin { kElsewhere, kTrainedHere };
using More = std::function<void(pipeline::Pool& pool, registry::Change& change)>;
int64_t install(const pipeline::PoolOptions& open, const registry::Package& package,
                const std::string& name, Origin origin = Origin::kElsewhere, const More& more = {});

// Throws what install() would, before it copies anything: E_REG_EXISTS, E_DESC_MISMATCH, E_REG_*.
void require_installable(const fs::path& registry, const registry::Package& package,
                         const std::string& name);

// Refuses a package that could not be installed in this registry: by what its manifest says, by
// labels that contradict the others', by a library that cannot be loaded or makes no expert, by
// probe vectors. Returns whether it has any. Writes nothing.
bool check_package(pipeline::PoolOptions open, const registry::Package& package);

// What the pool found, as registry.lock.toml has it: versions, digests, states, probe records.
registry::Lock lock_of(pipeline::Pool& pool);

}  // namespace moecollab::contribution
