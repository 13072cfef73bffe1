#include "registry/garbage.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/toml.h"
#include "registry/layout.h"
#include "registry/package.h"
#include "registry/registry_state.h"
#include "registry/resolution.h"

namespace moecollab::registry {
namespace {

// The present state, then those before changes, newest first, as long as at most kKeptGates gates
// are needed for them.
std::vector<StateDigests> kept_states(const StateDigests& present,
                                      const std::vector<HistoryEntry>& entries, int64_t& oldest) {
  std::vector<StateDigests> kept = {present};
  std::set<std::string> gates = {digest_or_none(present, kGateText)};
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    const std::string gate = digest_or_none(entry->before, kGateText);
    gates.insert(gate);
    gates.erase("");
    if (gates.size() > kKeptGates) break;
    kept.push_back(entry->before);
    kept.push_back(entry->after);
    oldest = entry->number;
  }
  return kept;
}

void add_locked(const std::string& text, std::set<PackageName>& packages) {
  for (const LockEntry& entry : parse_lock(text, kLockFile).entries)
    packages.insert({entry.name, entry.version.text()});
}

// Rows of a gate refer to the packages that they were fitted for.
void add_rows(const std::string& text, std::set<PackageName>& packages) {
  const Json root = parse_toml(text, kGateText, "E_GATE", kMaxLock).root;
  for (const Json& row : root.value("expert", Json::array())) {
    const Json name = row.value("name", Json()), version = row.value("version", Json());
    if (name.is_string() && version.is_string())
      packages.insert({name.get<std::string>(), version.get<std::string>()});
  }
}

// What these states select or refer to; contents that are gone count as empty.
std::set<PackageName> packages_of(const fs::path& folder, const std::vector<StateDigests>& states) {
  std::set<PackageName> packages;
  std::set<std::string> seen;
  for (const StateDigests& state : states) {
    for (const char* file : {kLockFile, kGateText}) {
      const std::string sha256 = digest_or_none(state, file);
      if (sha256.empty() || !seen.insert(sha256).second) continue;
      if (!fs::exists(object_file(folder, sha256))) continue;
      const std::string text = read_object(folder, sha256);
      file == kGateText ? add_rows(text, packages) : add_locked(text, packages);
    }
  }
  return packages;
}

uint64_t size_of(const fs::path& path) {
  std::error_code none;
  if (!fs::is_directory(path, none)) return fs::file_size(path, none);
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path, none))
    if (entry.is_regular_file(none)) bytes += entry.file_size(none);
  return bytes;
}

std::string digest_of(const fs::path& package) {
  try {
    return open_package(package).manifest_sha256;
  } catch (const Error&) {
    return "";
  }
}

// Digests of all packages that are installed.
std::multiset<std::string> installed_digests(const fs::path& registry) {
  std::multiset<std::string> digests;
  std::error_code none;
  for (const auto& expert : fs::directory_iterator(registry / kExpertsFolder, none))
    for (const auto& version : fs::directory_iterator(expert.path(), none))
      digests.insert(digest_of(version.path()));
  return digests;
}

// Its held-out logits, verdict and steps first, unless it is installed under another name too; then
// the package, renamed before it is removed, so that it is never half there under its name.
// install() removes what a killed process left.
void remove_package(const fs::path& registry, const fs::path& package) {
  const std::string sha256 = digest_of(package);
  std::error_code none;
  if (!sha256.empty() && installed_digests(registry).count(sha256) == 1) {
    fs::remove(held_out_file(registry, sha256), none);
    fs::remove(admission_file(registry, sha256), none);
    fs::remove(integration_file(registry, sha256), none);
  }
  const fs::path aside = package.parent_path() / ".new.removed";
  fs::remove_all(aside, none);
  fs::rename(package, aside);
  fs::remove_all(aside);
  fs::remove(package.parent_path(), none);  // if it was the last
}

// Contents of gates that no kept state needs; the texts of registry.toml and lock are small and
// say what was selected when.
std::vector<fs::path> unneeded_contents(const fs::path& folder,
                                        const std::vector<StateDigests>& kept,
                                        const std::vector<HistoryEntry>& entries) {
  std::set<std::string> needed;
  const auto need = [&](const StateDigests& state, bool all) {
    for (const auto& [file, sha256] : state)
      if (all || file == kRegistryFile || file == kLockFile) needed.insert(sha256);
  };
  for (const StateDigests& state : kept) need(state, true);
  for (const HistoryEntry& entry : entries) {
    need(entry.before, false);
    need(entry.after, false);
  }
  std::vector<fs::path> unneeded;
  std::error_code none;
  for (const auto& object : fs::directory_iterator(object_file(folder, "x").parent_path(), none))
    if (!needed.contains(object.path().filename().string())) unneeded.push_back(object.path());
  return unneeded;
}

}  // namespace

std::set<PackageName> packages_of(const fs::path& folder, const RegistryState& state) {
  std::set<PackageName> packages;
  if (state.lock) add_locked(*state.lock, packages);
  if (state.gate) add_rows(*state.gate, packages);
  const RegistryFile registry = parse_registry(state.registry, kRegistryFile);
  for (const Candidate& candidate : resolve(folder, registry, parse_lock(state.lock, kLockFile)))
    if (candidate.entry && candidate.package)
      packages.insert({candidate.name, candidate.package->manifest.expert.version.text()});
  return packages;
}

Garbage collect_garbage(const Operation& operation) try {
  const fs::path& folder = operation.registry;
  std::optional<FileLock> held;
  if (!operation.dry_run) {
    held.emplace(lock_registry(folder, operation.log));
    const Change finished(folder, *held, operation.log);  // what another process had decided
  }
  const std::vector<HistoryEntry> entries = read_history(folder);
  Garbage garbage;
  const std::vector<StateDigests> kept =
      kept_states(present_state(folder), entries, garbage.oldest);
  std::set<PackageName> needed = packages_of(folder, kept);
  // The present state's own contents may not be in the history yet.
  needed.merge(packages_of(folder, read_state(folder)));
  std::vector<StateDigests> all;
  for (const HistoryEntry& entry : entries) {
    all.push_back(entry.before);
    all.push_back(entry.after);
  }
  for (const auto& [name, version] : packages_of(folder, all)) {
    const fs::path package = folder / kExpertsFolder / name / version;
    if (needed.contains({name, version}) || !fs::is_directory(package)) continue;
    garbage.packages.push_back(fmt::format("{} {}", name, version));
    garbage.bytes += size_of(package);
    if (!operation.dry_run) remove_package(folder, package);
  }
  for (const fs::path& object : unneeded_contents(folder, kept, entries)) {
    ++garbage.contents;
    garbage.bytes += size_of(object);
    if (!operation.dry_run) fs::remove(object);
  }
  return garbage;
} catch (const fs::filesystem_error& error) {
  throw Error("E_WRITE", fmt::format("{} cannot be removed: {}", shown(error.path1()),
                                     error.code().message()));
}

}  // namespace moecollab::registry
