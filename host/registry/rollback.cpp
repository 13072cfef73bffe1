#include "registry/rollback.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "registry/change.h"
#include "registry/layout.h"
#include "registry/package.h"
#include "registry/resolution.h"
#include "registry/rollback_warnings.h"

namespace moecollab::registry {
namespace {

// The experts' packages of a state, "news 1.0.0", that are not installed as they were.
std::vector<std::string> missing_packages(const fs::path& folder, const Lock& lock) {
  std::vector<std::string> missing;
  for (const LockEntry& entry : lock.entries) {
    const fs::path package = version_folder(folder, entry.name, entry.version);
    try {
      if (open_package(package).manifest_sha256 == entry.manifest_sha256) continue;
    } catch (const Error&) {
    }
    missing.push_back(fmt::format("{} {}", entry.name, entry.version.text()));
  }
  return missing;
}

const HistoryEntry& find_change(const std::vector<HistoryEntry>& entries,
                                std::optional<int64_t> number) {
  if (entries.empty()) throw Error("E_CONFIG", "nothing was changed in this registry yet");
  if (!number) {
    const auto last = std::find_if(entries.rbegin(), entries.rend(),
                                   [](const HistoryEntry& entry) { return !entry.note.passive; });
    return last == entries.rend() ? entries.back() : *last;
  }
  const auto found = std::ranges::find(entries, *number, &HistoryEntry::number);
  if (found != entries.end()) return *found;
  throw Error("E_CONFIG",
              fmt::format("there is no change {}; the history has {} to {}", *number,
                          entries.front().number, entries.back().number),
              "`moecollab experts history` shows every one");
}

// The lock of a state that the history keeps.
Lock kept_lock(const fs::path& folder, const StateDigests& state) {
  const auto found = state.find(kLockFile);
  return found == state.end() ? Lock{} : parse_lock(read_object(folder, found->second), kLockFile);
}

// Only to say what changes: a registry that cannot be read is rolled back all the same.
Lock present_lock(const fs::path& folder) {
  try {
    return read_lock(folder);
  } catch (const Error&) {
    return {};
  }
}

// Whether that holds for the lock, or for one that the history keeps.
template <typename Holds>
bool any_lock(const fs::path& registry, const Holds& holds) {
  if (holds(read_lock(registry))) return true;
  std::set<std::string> seen;
  for (const HistoryEntry& entry : read_history(registry)) {
    for (const StateDigests* state : {&entry.before, &entry.after}) {
      const auto lock = state->find(kLockFile);
      if (lock == state->end() || !seen.insert(lock->second).second ||
          !fs::exists(object_file(registry, lock->second)))
        continue;
      if (holds(parse_lock(read_object(registry, lock->second), kLockFile))) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> version_changes(const Lock& before, const Lock& after) {
  std::vector<std::string> changes;
  const auto version = [](const LockEntry* entry) {
    return entry == nullptr ? std::string("none") : entry->version.text();
  };
  for (const LockEntry& entry : before.entries) {
    const std::string now = version(after.find(entry.name));
    if (now != entry.version.text())
      changes.push_back(fmt::format("{} {} -> {}", entry.name, entry.version.text(), now));
  }
  for (const LockEntry& entry : after.entries)
    if (before.find(entry.name) == nullptr)
      changes.push_back(fmt::format("{} none -> {}", entry.name, entry.version.text()));
  return changes;
}

bool can_roll_back(const fs::path& registry, const HistoryEntry& entry) {
  for (const auto& [file, sha256] : entry.before)
    if (!fs::exists(object_file(registry, sha256))) return false;
  return entry.before.contains(kRegistryFile) &&
         missing_packages(registry, kept_lock(registry, entry.before)).empty();
}

bool was_made_here(const fs::path& registry, const std::string& sha256) {
  return any_lock(registry, [&](const Lock& lock) { return lock.made_here.contains(sha256); });
}

bool was_selected(const fs::path& registry, const std::string& name, const std::string& sha256) {
  return any_lock(registry, [&](const Lock& lock) {
    const LockEntry* entry = lock.find(name);
    return entry != nullptr && entry->manifest_sha256 == sha256;
  });
}

RollbackResult rollback(const Operation& operation, std::optional<int64_t> number) {
  const fs::path& folder = operation.registry;
  std::optional<FileLock> held;
  std::optional<Change> change;
  if (!operation.dry_run) {
    held.emplace(lock_registry(folder, operation.log));
    change.emplace(folder, *held, operation.log);
  }
  const std::vector<HistoryEntry> entries = read_history(folder);
  const HistoryEntry& undone = find_change(entries, number);
  const StateDigests& wanted = undone.before;
  if (!wanted.contains(kRegistryFile))
    throw Error("E_CONFIG", "there was no registry.toml before that change",
                "name another one with `moecollab experts rollback CHANGE`");
  const StateDigests present = present_state(folder);
  RollbackResult result;
  result.before_change = undone.number;
  result.command = undone.note.command;
  result.files = changed_files(present, wanted);
  const Lock after = kept_lock(folder, wanted);
  result.versions = version_changes(present_lock(folder), after);
  for (const std::string& file : result.files) {
    const auto there = wanted.find(file);
    const std::string content =
        there == wanted.end() ? std::string() : read_object(folder, there->second);
    if (!change) continue;
    there == wanted.end() ? change->remove(file) : change->put(file, content);
  }
  if (const auto missing = missing_packages(folder, after); !missing.empty()) {
    throw Error(
        "E_REG_MISSING",
        fmt::format("the state before that change needs packages that are not installed as "
                    "they were: {}",
                    join(missing, ", ")),
        "put their folders back as they were, from a back-up or their authors' packages, or name "
        "another change: "
        "`moecollab experts history` marks those that cannot be taken back");
  }
  warn_of_edits(entries.back(), present, operation.log);
  // A passive entry may have taken an edit with it.
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].note.passive && entries[i].number > undone.number)
      warn_of_edits(entries[i - 1], entries[i].before, operation.log);
  }
  warn_of_freed(present_lock(folder), after, operation.log);
  warn_of_settings(folder, read_object(folder, wanted.at(kRegistryFile)), operation.log);
  if (change) result.change = change->commit(operation.note);
  return result;
}

}  // namespace moecollab::registry
