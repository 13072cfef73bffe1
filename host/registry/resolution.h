// From registry.toml to package folders: which version of each expert, and if none, why.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "registry/layout.h"
#include "registry/lock.h"
#include "registry/package.h"
#include "registry/registry_file.h"
#include "registry/state.h"

namespace moecollab::registry {

// One expert that is asked for, or lies there unasked.
struct Candidate {
  std::string name;
  std::optional<ExpertEntry> entry;  // none: in experts/, but not in registry.toml
  std::optional<Package> package;    // none if it could not be read
  State state = State::kFound;       // found, manifest ok, disabled or refused
  std::optional<Refusal> refusal;    // set if refused; a disabled one may have it too
  // Set if its expert.toml is not the one that the lock has: it was edited after it was installed.
  std::optional<Refusal> edit;
  // The highest installed version of the entry's range, if it is higher than the package's: the pin
  // or the lock holds it back.
  std::optional<Version> newer;
};

// Every [[expert]] in the order of the file, then the folders of experts/ that no entry names, by
// name; of these a folder without any version is none, and neither is a desktop's file. For an
// entry the pinned version is taken from experts/<name>/<version>/, else the lock's if it is
// installed and in the entry's range, else the highest in that range. Refusals:
// E_REG_MISSING (no such folder or version; names what is there), E_PLUG_ROLLBACK (not pinned, and
// lower than the lock's), E_PLUG_PATH (a link on the way), E_DESC_MISMATCH (the manifest has
// another id, or another version than its folder), and those of open_package and check_trust. What
// one expert does wrong never throws; an experts/ that cannot be listed does (E_REG_IO). No file
// but the manifests (and labels files) is read: check_files() is the caller's.
std::vector<Candidate> resolve(const fs::path& registry_folder, const RegistryFile& registry,
                               const Lock& lock);

// Whether the package has the version and id of the entry, but another expert.toml: it was edited
// after it was installed.
bool was_edited(const Package& package, const LockEntry& locked);

// The lock of what these files select now: versions and digests by what is installed; states and
// probe records of `old` as long as the package is the same. An expert whose package cannot be
// read, or was edited, keeps its entry of `old`.
Lock resolved_lock(const fs::path& registry_folder, const RegistryFile& registry, const Lock& old);
// The same, but that packages count as they are, edited or not.
Lock accepted_lock(const fs::path& registry_folder, const RegistryFile& registry, const Lock& old);

// The entry of a candidate that has an entry and a package; without a probe record.
LockEntry lock_entry(const Candidate& candidate);

// experts/<name>/<version>/ of the registry.
fs::path version_folder(const fs::path& registry_folder, const std::string& name,
                        const Version& version);

// The versions in experts/<name>/, ascending, whether or not they can be read.
std::vector<Version> installed_versions(const fs::path& registry_folder, const std::string& name);

// Refuses the candidate from now on, unless it is disabled: then the state stays.
void refuse(Candidate& candidate, Refusal refusal);

}  // namespace moecollab::registry
