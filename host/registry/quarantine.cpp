#include "registry/quarantine.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/strings.h"
#include "registry/registry_state.h"
#include "registry/resolution.h"

namespace moecollab::registry {
namespace {

bool has_entry(const RegistryFile& registry, const std::string& name) {
  return std::ranges::find(registry.experts, name, &ExpertEntry::name) != registry.experts.end();
}

std::vector<std::string> known_names(const RegistryFile& registry, const Lock& lock) {
  std::vector<std::string> names;
  for (const ExpertEntry& entry : registry.experts) names.push_back(entry.name);
  for (const Quarantined& entry : lock.quarantined) names.push_back(entry.name);
  return names;
}

}  // namespace

void require_not_quarantined(const Lock& lock, const std::string& sha256) {
  const auto found = std::ranges::find(lock.quarantined, sha256, &Quarantined::sha256);
  if (found == lock.quarantined.end()) return;
  throw Error(
      "E_PLUG_QUARANTINE",
      fmt::format("its process {} in {}() on {} ({}){}", escaped(found->cause, 400),
                  escaped(found->phase, 40), escaped(found->time, 40), escaped(found->code, 40),
                  found->output.empty() ? "" : "; it printed: " + escaped(found->output, 400)),
      fmt::format("install another version, or let it run again with `moecollab experts "
                  "quarantine clear {}`",
                  found->name));
}

int64_t quarantine(const Operation& operation, const Quarantined& evidence) {
  const FileLock held = lock_registry(operation.registry, operation.log);
  Change change(operation.registry, held, operation.log);
  const RegistryFile registry = read_registry(operation.registry);
  Lock lock = read_lock(operation.registry);
  if (std::ranges::find(lock.quarantined, evidence.sha256, &Quarantined::sha256) !=
      lock.quarantined.end())
    return 0;
  lock.quarantined.push_back(evidence);
  change.put(kLockFile, lock_text(resolved_lock(operation.registry, registry, lock)));
  return change.commit(operation.note);
}

Cleared clear_quarantine(const Operation& operation, const std::string& name) {
  const FileLock held = lock_registry(operation.registry, operation.log);
  Change change(operation.registry, held, operation.log);
  const RegistryFile registry = read_registry(operation.registry);
  Lock lock = read_lock(operation.registry);
  const auto is_of_name = [&](const Quarantined& entry) { return entry.name == name; };
  Cleared cleared;
  std::ranges::copy_if(lock.quarantined, std::back_inserter(cleared.packages), is_of_name);
  if (cleared.packages.empty() && !has_entry(registry, name)) {
    throw Error("E_CONFIG",
                fmt::format("there is no expert \"{}\"{}", escaped(name, 80),
                            did_you_mean(name, known_names(registry, lock))),
                "`moecollab experts list` shows every one");
  }
  if (cleared.packages.empty() || operation.dry_run) return cleared;
  std::erase_if(lock.quarantined, is_of_name);
  change.put(kLockFile, lock_text(resolved_lock(operation.registry, registry, lock)));
  if (const int64_t number = change.commit(operation.note); number != 0) cleared.change = number;
  return cleared;
}

}  // namespace moecollab::registry
