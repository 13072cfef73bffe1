#include "registry/resolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <tuple>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "registry/desktop_files.h"
#include "registry/names.h"
#include "registry/quarantine.h"
#include "registry/trust.h"

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

// "; did you mean news?" of the folders beside it.
std::string nearest_folder(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& other : fs::directory_iterator(folder.parent_path(), none))
    names.push_back(other.path().filename().string());
  return did_you_mean(folder.filename().string(), names);
}

[[noreturn]] void fail_missing(const fs::path& folder, const VersionRange& range,
                               const std::vector<Version>& there) {
  std::vector<std::string> texts;
  for (const Version& version : there) texts.push_back(version.text());
  const std::string what = texts.empty() ? "no version at all" : join(texts, ", ");
  throw Error("E_REG_MISSING",
              fmt::format("{}: no version in {}; there is {}{}", shown(folder), range.text(), what,
                          texts.empty() ? nearest_folder(folder) : ""),
              texts.empty()
                  ? "install it with `moecollab experts add PACKAGE`, or set enabled = false"
                  : "change the version range, or install such a version");
}

bool is_among(const std::vector<Version>& versions, const Version& version) {
  return std::ranges::find(versions, version) != versions.end();
}

void check_rollback(const LockEntry& locked, const std::string& name, const Version& found) {
  if (found >= locked.version) return;
  throw Error("E_PLUG_ROLLBACK",
              fmt::format("{}: version {} is lower than {}, which the lock records", name,
                          found.text(), locked.version.text()),
              fmt::format("install the newer version again, or take the older one with `moecollab "
                          "experts pin {} --to {} --allow-downgrade`",
                          name, found.text()));
}

struct Selected {
  Version version, highest;  // of the range
};

// `entry` and `locked` may be null.
Selected select(const fs::path& folder, const ExpertEntry* entry, const LockEntry* locked) {
  require_real_folder(folder);
  const VersionRange range = entry != nullptr ? entry->version : VersionRange();
  const std::vector<Version> there = versions_in(folder);
  const auto highest = std::find_if(there.rbegin(), there.rend(), [&](const Version& version) {
    return range.contains(version);
  });
  if (highest == there.rend()) fail_missing(folder, range, there);
  if (entry != nullptr && entry->pin) {
    if (!is_among(there, *entry->pin))
      fail_missing(folder, VersionRange::parse("=" + entry->pin->text()), there);
    return {*entry->pin, *highest};
  }
  if (locked == nullptr) return {*highest, *highest};
  if (range.contains(locked->version) && is_among(there, locked->version))
    return {locked->version, *highest};
  check_rollback(*locked, entry->name, *highest);
  return {*highest, *highest};
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
                "`moecollab experts add` of a good copy of the package puts its files back");
  }
}

// Whoever edits expert.toml by hand changes what was checked, judged and fitted.
Refusal edit_of(const Package& package, const LockEntry& locked) {
  const std::string name = locked.name + " " + locked.version.text();
  return {
      .code = "E_PLUG_DIGEST",
      .rule = fmt::format("{}: expert.toml is not the one that was installed: its SHA-256 is "
                          "{}, the lock says {}",
                          name, package.manifest_sha256.substr(0, 12),
                          locked.manifest_sha256.substr(0, 12)),
      .expected = locked.manifest_sha256,
      .seen = package.manifest_sha256,
      .hint =
          "put it back (`moecollab experts add` of the same package does), or, if the "
          "change is meant, take it with `moecollab experts lock` and fit its row again; trust, "
          "admission and held-out logits of the one before do not count for it"};
}

// Fills package and state; throws what makes it refused.
void find_package(Candidate& candidate, const fs::path& experts, const RegistryFile& registry,
                  const Lock& lock) {
  const fs::path folder = experts / candidate.name;
  const ExpertEntry* entry = candidate.entry ? &*candidate.entry : nullptr;
  const LockEntry* locked = entry != nullptr ? lock.find(entry->name) : nullptr;
  if (locked != nullptr && locked->id != entry->id) locked = nullptr;  // of another expert
  const auto [version, highest] = select(folder, entry, locked);
  if (entry != nullptr && version < highest) candidate.newer = highest;
  const fs::path package_folder = folder / version.text();
  require_real_folder(package_folder);
  Package package = open_package(package_folder);
  check_identity(package, version, entry);
  candidate.package = std::move(package);
  if (entry != nullptr) {
    check_trust(*candidate.package,
                {.registry = registry,
                 .made_here = lock.made_here.contains(candidate.package->manifest_sha256),
                 .is_new = false,
                 .today = today_utc()});
    require_not_quarantined(lock, candidate.package->manifest_sha256);
  }
  candidate.state = entry != nullptr ? State::kManifestOk : State::kFound;
  if (locked != nullptr && was_edited(*candidate.package, *locked))
    candidate.edit = edit_of(*candidate.package, *locked);
}

Candidate resolve_one(std::string name, std::optional<ExpertEntry> entry, const fs::path& experts,
                      const RegistryFile& registry, const Lock& lock) {
  Candidate candidate;
  candidate.name = std::move(name);
  candidate.entry = std::move(entry);
  try {
    find_package(candidate, experts, registry, lock);
  } catch (const Error& error) {
    refuse(candidate, refusal_of(error));
  }
  if (candidate.entry && !candidate.entry->enabled) candidate.state = State::kDisabled;
  return candidate;
}

}  // namespace

bool was_edited(const Package& package, const LockEntry& locked) {
  const ExpertTable& expert = package.manifest.expert;
  return expert.version == locked.version && expert.id == locked.id &&
         !locked.manifest_sha256.empty() && package.manifest_sha256 != locked.manifest_sha256;
}

std::vector<Candidate> resolve(const fs::path& registry_folder, const RegistryFile& registry,
                               const Lock& lock) {
  const fs::path experts = registry_folder / kExpertsFolder;
  std::vector<Candidate> candidates;
  std::set<std::string> asked;
  for (const ExpertEntry& entry : registry.experts) {
    asked.insert(entry.name);
    candidates.push_back(resolve_one(entry.name, entry, experts, registry, lock));
  }
  for (const std::string& name : names_in(experts)) {
    if (!asked.contains(name) && !holds_no_version(experts / name)) {
      candidates.push_back(resolve_one(name, std::nullopt, experts, registry, lock));
    }
  }
  return candidates;
}

LockEntry lock_entry(const Candidate& candidate) {
  const Manifest& manifest = candidate.package->manifest;
  LockEntry entry;
  entry.name = candidate.name;
  entry.id = manifest.expert.id;
  entry.version = manifest.expert.version;
  entry.manifest_sha256 = candidate.package->manifest_sha256;
  entry.library_sha256 = manifest.files.at(library_file(manifest));
  entry.state = candidate.state;
  if (candidate.refusal) {
    entry.code = candidate.refusal->code;
    entry.reason = candidate.refusal->rule;
  }
  return entry;
}

Lock resolved_lock(const fs::path& registry_folder, const RegistryFile& registry, const Lock& old) {
  Lock lock = old.emptied();
  for (const Candidate& candidate : resolve(registry_folder, registry, old)) {
    if (!candidate.entry) continue;
    const LockEntry* before = old.find(candidate.name);
    if (before != nullptr && (!candidate.package || was_edited(*candidate.package, *before))) {
      // The version of a pin may be one that nothing is known of yet.
      if (!before->manifest_sha256.empty()) lock.entries.push_back(*before);
      continue;
    }
    if (!candidate.package) continue;
    LockEntry entry = lock_entry(candidate);
    if (before != nullptr && before->manifest_sha256 == entry.manifest_sha256) {
      entry.probe = before->probe;
      const bool known = candidate.state == State::kManifestOk &&
                         before->state != State::kDisabled && before->state != State::kQuarantined;
      if (known)
        std::tie(entry.state, entry.code, entry.reason) =
            std::tie(before->state, before->code, before->reason);
    }
    lock.entries.push_back(std::move(entry));
  }
  return lock;
}

Lock accepted_lock(const fs::path& registry_folder, const RegistryFile& registry, const Lock& old) {
  Lock trusting = old;
  for (const Candidate& candidate : resolve(registry_folder, registry, old)) {
    for (LockEntry& entry : trusting.entries) {
      if (entry.name != candidate.name || !candidate.package) continue;
      if (!was_edited(*candidate.package, entry)) continue;
      entry.manifest_sha256.clear();  // nothing that is known of it counts
    }
  }
  return resolved_lock(registry_folder, registry, trusting);
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
  if (candidate.state == State::kDisabled) return;
  candidate.state =
      candidate.refusal->code == "E_PLUG_QUARANTINE" ? State::kQuarantined : State::kRefused;
}

}  // namespace moecollab::registry
