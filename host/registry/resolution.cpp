#include "registry/resolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "registry/desktop_files.h"
#include "registry/names.h"

namespace moecollab::registry {
namespace {

// Names of what lies in a folder, sorted, but for a desktop's files; empty if the folder is not
// there.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  if (fs::status(folder, error).type() == fs::file_type::not_found) return names;
  try {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (!is_desktop_file(name)) names.push_back(name);
    }
  } catch (const fs::filesystem_error& failure) {
    throw Error("E_REG_IO",
                fmt::format("{} cannot be read: {}", shown(folder), failure.code().message()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

void require_real_folder(const fs::path& path) {
  std::error_code ignored;
  const fs::file_type type = fs::symlink_status(path, ignored).type();
  if (type == fs::file_type::directory || type == fs::file_type::not_found) return;
  throw Error("E_PLUG_PATH",
              fmt::format("{}: it is {}, not a folder", shown(path),
                          type == fs::file_type::symlink ? "a symbolic link" : "a file"),
              "install the package itself: `moecollab experts add`");
}

// Versions below experts/<name>/, ascending. A folder whose name is no version is none.
std::vector<Version> versions_in(const fs::path& folder) {
  std::vector<Version> versions;
  for (const std::string& name : names_in(folder)) {
    try {
      versions.push_back(Version::parse(name));
    } catch (const std::invalid_argument&) {
      continue;
    }
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

// Whether a real folder below experts/ can be listed and has no version in it: it holds an example
// manifest or notes, and is no candidate unless registry.toml names it.
bool holds_no_version(const fs::path& folder) {
  try {
    std::error_code ignored;
    return fs::symlink_status(folder, ignored).type() == fs::file_type::directory &&
           versions_in(folder).empty();
  } catch (const Error&) {
    return false;  // a candidate that is refused for this
  }
}

[[noreturn]] void fail_missing(const fs::path& folder, const VersionRange& range,
                               const std::vector<Version>& there) {
  std::vector<std::string> texts;
  for (const Version& version : there) texts.push_back(version.text());
  const std::string what = texts.empty() ? "no version at all" : join(texts, ", ");
  throw Error("E_REG_MISSING",
              fmt::format("{}: no version in {}; there is {}", shown(folder), range.text(), what),
              texts.empty()
                  ? "install it with `moecollab experts add PACKAGE`, or set enabled = false"
                  : "change the version range, or install such a version");
}

Version highest(const fs::path& folder, const VersionRange& range) {
  require_real_folder(folder);
  const std::vector<Version> versions = versions_in(folder);
  const auto found = std::find_if(versions.rbegin(), versions.rend(),
                                  [&](const Version& version) { return range.contains(version); });
  if (found == versions.rend()) fail_missing(folder, range, versions);
  return *found;
}

void check_rollback(const LockEntry& locked, const std::string& name, const Version& found) {
  if (found >= locked.version) return;
  throw Error("E_PLUG_ROLLBACK",
              fmt::format("{}: version {} is lower than {}, which the lock records", name,
                          found.text(), locked.version.text()),
              "install the newer version again, or take the older one with --allow-downgrade");
}

void check_identity(const Package& package, const Version& version, const ExpertEntry* entry) {
  const ExpertTable& expert = package.manifest.expert;
  if (entry != nullptr && expert.id != entry->id) {
    throw Error("E_DESC_MISMATCH",
                fmt::format("{}: registry.toml asks for id {}, the package is {}", entry->name,
                            entry->id, expert.id),
                "correct the id in registry.toml, or install the right package");
  }
  if (expert.version != version) {
    throw Error("E_DESC_MISMATCH",
                fmt::format("{}: the folder says version {}, the manifest {}",
                            shown(package.folder), version.text(), expert.version.text()),
                "install the package with `moecollab experts add`");
  }
}

// Fills package and state; throws what makes it refused.
void find_package(Candidate& candidate, const fs::path& experts, const Lock& lock) {
  const fs::path folder = experts / candidate.name;
  const ExpertEntry* entry = candidate.entry ? &*candidate.entry : nullptr;
  const Version version = highest(folder, entry != nullptr ? entry->version : VersionRange());
  const LockEntry* locked = entry != nullptr ? lock.find(entry->name) : nullptr;
  if (locked != nullptr && locked->id == entry->id) {
    check_rollback(*locked, entry->name, version);
  }
  const fs::path package_folder = folder / version.text();
  require_real_folder(package_folder);
  Package package = open_package(package_folder);
  check_identity(package, version, entry);
  candidate.package = std::move(package);
  candidate.state = entry != nullptr ? State::kManifestOk : State::kFound;
}

Candidate resolve_one(std::string name, std::optional<ExpertEntry> entry, const fs::path& experts,
                      const Lock& lock) {
  Candidate candidate;
  candidate.name = std::move(name);
  candidate.entry = std::move(entry);
  try {
    find_package(candidate, experts, lock);
  } catch (const Error& error) {
    refuse(candidate, refusal_of(error));
  }
  if (candidate.entry && !candidate.entry->enabled) candidate.state = State::kDisabled;
  return candidate;
}

}  // namespace

std::vector<Candidate> resolve(const fs::path& registry_folder, const RegistryFile& registry,
                               const Lock& lock) {
  const fs::path experts = registry_folder / kExpertsFolder;
  std::vector<Candidate> candidates;
  std::set<std::string> asked;
  for (const ExpertEntry& entry : registry.experts) {
    asked.insert(entry.name);
    candidates.push_back(resolve_one(entry.name, entry, experts, lock));
  }
  for (const std::string& name : names_in(experts)) {
    if (!asked.contains(name) && !holds_no_version(experts / name)) {
      candidates.push_back(resolve_one(name, std::nullopt, experts, lock));
    }
  }
  return candidates;
}

fs::path version_folder(const fs::path& registry_folder, const std::string& name,
                        const Version& version) {
  return registry_folder / kExpertsFolder / name / version.text();
}

std::vector<Version> installed_versions(const fs::path& registry_folder, const std::string& name) {
  return versions_in(registry_folder / kExpertsFolder / name);
}

void refuse(Candidate& candidate, Refusal refusal) {
  candidate.refusal = std::move(refusal);
  if (candidate.state != State::kDisabled) candidate.state = State::kRefused;
}

}  // namespace moecollab::registry
