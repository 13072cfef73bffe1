#include "registry/operations.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "registry/damaged_state.h"
#include "registry/registry_edit.h"
#include "registry/registry_state.h"
#include "registry/resolution.h"
#include "registry/rollback.h"

namespace moecollab::registry {
namespace {

// What a registry says at one moment, read.
struct Opened {
  RegistryState state;
  RegistryFile registry;
  Lock lock;
};

std::string file_name(const fs::path& folder) { return shown(folder / kRegistryFile); }

Opened parsed(const fs::path& folder, RegistryState state) {
  RegistryFile registry = parse_registry(state.registry, file_name(folder));
  Lock lock = parse_lock(state.lock, shown(folder / kLockFile));
  return {std::move(state), std::move(registry), std::move(lock)};
}

Opened open(const fs::path& folder) { return parsed(folder, read_state(folder)); }

const ExpertEntry& find_entry(const RegistryFile& registry, const std::string& name) {
  std::vector<std::string> names;
  for (const ExpertEntry& entry : registry.experts) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  throw Error("E_CONFIG",
              fmt::format("registry.toml has no expert \"{}\"{}", escaped(name, 80),
                          did_you_mean(name, names)),
              "`moecollab experts list` shows every one");
}

// The same, and says where an expert lies that was taken out.
void require_entry(const fs::path& folder, const RegistryFile& registry, const std::string& name) {
  const bool is_there =
      std::ranges::find(registry.experts, name, &ExpertEntry::name) != registry.experts.end();
  if (is_there || !is_name(name)) return void(find_entry(registry, name));
  const std::vector<Version> versions = installed_versions(folder, name);
  if (versions.empty()) return void(find_entry(registry, name));
  throw Error("E_CONFIG",
              fmt::format("registry.toml has no expert \"{}\", but version {} of it is installed",
                          name, versions.back().text()),
              fmt::format("take it in again with `moecollab experts add {}`",
                          shown(version_folder(folder, name, versions.back()))));
}

Selection selection_of(const Opened& opened, const std::string& name) {
  Selection selection;
  for (const ExpertEntry& entry : opened.registry.experts)
    if (entry.name == name) selection.entry = entry;
  if (const LockEntry* locked = opened.lock.find(name); locked != nullptr && selection.entry)
    selection.version = locked->version.text();
  return selection;
}

Json to_json(const Selection& selection) {
  if (!selection.entry) return nullptr;
  const ExpertEntry& entry = *selection.entry;
  return {{"version", selection.version.empty() ? Json(nullptr) : Json(selection.version)},
          {"enabled", entry.enabled},
          {"pin", entry.pin ? Json(entry.pin->text()) : Json(nullptr)},
          {"range", entry.version.text()}};
}

// The lock's version of an expert gives way to this one, of which it knows nothing more.
void move_lock(Lock& lock, const std::string& name, const Version& version) {
  for (LockEntry& entry : lock.entries) {
    if (entry.name != name || entry.version == version) continue;
    entry.version = version;
    entry.manifest_sha256.clear();
  }
}

// What an edit makes of the registry: the text of registry.toml and, if the lock shall move, the
// version that it shall select.
struct Edited {
  std::string text;
  std::optional<Version> selected = {};
};
using Edit = std::function<Edited(const Opened& before, const std::string& file)>;

// Changes registry.toml and, with what it then selects, the lock.
OperationResult change_entry(const Operation& operation, const std::string& name,
                             const Edit& edit) {
  std::optional<FileLock> held;
  std::optional<Change> change;
  if (!operation.dry_run) {
    held.emplace(lock_registry(operation.registry, operation.log));
    change.emplace(operation.registry, *held, operation.log);
  }
  const Opened before = open(operation.registry);
  if (const auto lost = lost_lock(operation.registry))
    operation.log.warning(lost->what, lost->hint);
  require_entry(operation.registry, before.registry, name);
  Edited edited = edit(before, file_name(operation.registry));
  RegistryState state = before.state;
  state.registry = std::move(edited.text);
  Opened after = parsed(operation.registry, std::move(state));
  if (edited.selected) move_lock(after.lock, name, *edited.selected);
  after.lock = resolved_lock(operation.registry, after.registry, after.lock);
  const std::string lock = lock_text(after.lock);
  OperationResult result{
      .name = name,
      .before = selection_of(before, name),
      .after = selection_of(after, name),
      .change = std::nullopt,
      .differs = after.state.registry != before.state.registry || before.state.lock != lock};
  if (!change) return result;
  change->put(kRegistryFile, after.state.registry);
  change->put(kLockFile, lock);
  if (const int64_t number = change->commit(operation.note); number != 0) result.change = number;
  return result;
}

Version version_to_pin(const Opened& opened, const fs::path& folder, const ExpertEntry& entry,
                       const std::string& text) {
  const std::vector<Version> there = installed_versions(folder, entry.name);
  std::vector<std::string> texts;
  for (const Version& version : there) texts.push_back(version.text());
  std::string wanted = text;
  if (wanted.empty()) {
    for (const Candidate& candidate : resolve(folder, opened.registry, opened.lock))
      if (candidate.name == entry.name && candidate.package)
        wanted = candidate.package->manifest.expert.version.text();
  }
  if (std::ranges::find(texts, wanted) == texts.end()) {
    throw Error("E_REG_MISSING",
                fmt::format("{}: version {} is not installed; there is {}", entry.name,
                            wanted.empty() ? "none" : escaped(wanted, 80),
                            texts.empty() ? "no version at all" : join(texts, ", ")),
                "install it with `moecollab experts add PACKAGE`, or name another version");
  }
  const Version version = Version::parse(wanted);
  if (!entry.version.contains(version)) {
    throw Error("E_CONFIG",
                fmt::format("{}: version {} is not in {}, the range that registry.toml asks for",
                            entry.name, wanted, entry.version.text()),
                "change `version` in registry.toml first");
  }
  return version;
}

void require_permission(const Opened& opened, const std::string& name, const Version& version,
                        bool allow_downgrade) {
  const LockEntry* locked = opened.lock.find(name);
  if (locked == nullptr || version >= locked->version || allow_downgrade) return;
  throw Error("E_PLUG_ROLLBACK",
              fmt::format("{}: version {} is lower than {}, which the lock records", name,
                          version.text(), locked->version.text()),
              "to take the older one all the same, add --allow-downgrade");
}

}  // namespace

Json OperationResult::to_json() const {
  return {{"name", name},
          {"before", registry::to_json(before)},
          {"after", registry::to_json(after)},
          {"differs", differs},
          {"change", change ? Json(*change) : Json(nullptr)}};
}

OperationResult enable(const Operation& operation, const std::string& name, bool enabled) {
  return change_entry(operation, name, [&](const Opened& before, const std::string& file) {
    return Edited{with_enabled(before.state.registry, name, enabled, file)};
  });
}

OperationResult pin(const Operation& operation, const std::string& name, const std::string& version,
                    bool allow_downgrade) {
  return change_entry(operation, name, [&](const Opened& before, const std::string& file) {
    const Version wanted =
        version_to_pin(before, operation.registry, find_entry(before.registry, name), version);
    require_permission(before, name, wanted, allow_downgrade);
    return Edited{with_pin(before.state.registry, name, wanted, file), wanted};
  });
}

OperationResult unpin(const Operation& operation, const std::string& name) {
  return change_entry(operation, name, [&](const Opened& before, const std::string& file) {
    return Edited{with_pin(before.state.registry, name, std::nullopt, file)};
  });
}

OperationResult remove_expert(const Operation& operation, const std::string& name) {
  return change_entry(operation, name, [&](const Opened& before, const std::string& file) {
    return Edited{without_expert(before.state.registry, name, file)};
  });
}

void require_id(const Package& package, const ExpertEntry& entry) {
  if (package.manifest.expert.id == entry.id) return;
  throw Error("E_DESC_MISMATCH",
              fmt::format("{}: registry.toml asks for id {}, the package is {}", entry.name,
                          entry.id, package.manifest.expert.id),
              "install it under another name with --name");
}

void require_upgrade(const fs::path& registry, const Package& package, const std::string& name) {
  const Opened opened = open(registry);
  const ExpertEntry& entry = find_entry(opened.registry, name);
  const Version& version = package.manifest.expert.version;
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    throw Error("E_CONFIG", fmt::format("{}: version {} {}", name, version.text(), what), hint);
  };
  require_id(package, entry);
  if (!entry.version.contains(version)) {
    refuse(fmt::format("is not in {}, the range that registry.toml asks for", entry.version.text()),
           "change `version` of it in registry.toml first");
  }
  if (entry.pin) {
    refuse(fmt::format("is not taken: {} is pinned", entry.pin->text()),
           fmt::format("`moecollab experts unpin {}` first", name));
  }
  const LockEntry* locked = opened.lock.find(name);
  if (locked == nullptr || locked->version < version) return;
  if (locked->version == version)
    refuse("is selected already", "`moecollab experts list` shows every expert with its version");
  refuse(
      fmt::format("is not higher than {}, which is selected", locked->version.text()),
      fmt::format("to go back, `moecollab experts rollback`, or `moecollab experts pin {} --to {} "
                  "--allow-downgrade`",
                  name, version.text()));
}

fs::path newest_of_range(const fs::path& registry, const std::string& name) {
  const ExpertEntry entry = find_entry(open(registry).registry, name);
  const std::vector<Version> versions = installed_versions(registry, name);
  const auto newest = std::find_if(versions.rbegin(), versions.rend(), [&](const Version& version) {
    return entry.version.contains(version);
  });
  if (newest != versions.rend()) return version_folder(registry, name, *newest);
  throw Error("E_REG_MISSING",
              fmt::format("{}: no version in {} is installed", name, entry.version.text()),
              "install one with `moecollab experts add PACKAGE`");
}

std::vector<std::string> lock_differences(const fs::path& registry) {
  const Opened opened = open(registry);
  const Lock wanted = accepted_lock(registry, opened.registry, opened.lock);
  std::vector<std::string> differences = version_changes(opened.lock, wanted);
  if (const auto lost = lost_lock(registry)) differences.push_back(lost->what);
  for (const Candidate& candidate : resolve(registry, opened.registry, opened.lock)) {
    if (!candidate.entry || !candidate.refusal || opened.lock.find(candidate.name) == nullptr)
      continue;
    differences.push_back(fmt::format("{}: {}: {}", candidate.name, candidate.refusal->code,
                                      candidate.refusal->rule));
  }
  for (const LockEntry& entry : wanted.entries) {
    const LockEntry* locked = opened.lock.find(entry.name);
    if (locked == nullptr || locked->version != entry.version) continue;
    const std::string what = fmt::format("{} {}", entry.name, entry.version.text());
    if (locked->manifest_sha256 != entry.manifest_sha256) {
      differences.push_back(fmt::format("{}: the package is {}, the lock says {}", what,
                                        entry.manifest_sha256.substr(0, 12),
                                        locked->manifest_sha256.substr(0, 12)));
    } else if (*locked != entry) {
      differences.push_back(fmt::format("{} is {}, the lock says {}", what, state_name(entry.state),
                                        state_name(locked->state)));
    }
  }
  return differences;
}

int64_t write_lock_again(const Operation& operation) {
  if (operation.dry_run) return 0;
  const FileLock held = lock_registry(operation.registry, operation.log);
  Change change(operation.registry, held, operation.log);
  const Opened opened = open(operation.registry);
  change.put(kLockFile, lock_text(accepted_lock(operation.registry, opened.registry, opened.lock)));
  return change.commit(operation.note);
}

}  // namespace moecollab::registry
