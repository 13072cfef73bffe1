#include "contribution/registry_snapshot.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"
#include "registry/change.h"
#include "registry/layout.h"
#include "registry/lock.h"

namespace moecollab::contribution {
namespace {

// Beside the copies; the first is written last.
constexpr const char* kVersions = "versions.json";
constexpr const char* kChanged = "changed.json";

// The files of the registry's state but registry.toml, which is the operator's.
std::vector<fs::path> shared_files(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const std::string file : registry::kStateFiles)
    if (file != registry::kRegistryFile && fs::exists(folder / file)) found.push_back(file);
  return found;
}

std::set<std::string> read_names(const fs::path& file) {
  try {
    return parse_json(read_file(file, "E_CKPT")).get<std::set<std::string>>();
  } catch (const std::exception& error) {
    throw Error("E_CKPT",
                fmt::format("{} is damaged: {}", escaped(file.string()), escaped(error.what())),
                "start again without --resume");
  }
}

}  // namespace

RegistrySnapshot::RegistrySnapshot(fs::path registry, fs::path folder, Log log)
    : registry_(std::move(registry)), folder_(std::move(folder)), log_(log) {}

RegistrySnapshot RegistrySnapshot::take(const fs::path& registry, const fs::path& folder, Log log) {
  const FileLock lock = registry::lock_registry(registry, log);
  const registry::Change settled(registry, lock, log);  // what another process had decided
  RegistrySnapshot snapshot(registry, folder, log);
  fs::remove_all(folder);
  make_folder(folder);
  for (const fs::path& file : shared_files(registry)) snapshot.keep(file);
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(registry / registry::kHistoryFolder, none)) {
    if (entry.path().extension() == ".jsonl")
      snapshot.keep(fs::path(registry::kHistoryFolder) / entry.path().filename());
  }
  for (const auto& expert : fs::directory_iterator(registry / registry::kExpertsFolder, none)) {
    for (const fs::path& version : snapshot.newer_versions(expert.path().filename()))
      snapshot.versions_.insert(expert.path().filename() / version.filename());
  }
  snapshot.write_changed();
  sync_folder(folder);
  write_file_atomic(folder / kVersions, to_text(snapshot.versions_));
  return snapshot;
}

RegistrySnapshot RegistrySnapshot::open(const fs::path& registry, const fs::path& folder, Log log) {
  RegistrySnapshot snapshot(registry, folder, log);
  snapshot.versions_ = read_names(folder / kVersions);
  snapshot.changed_ = read_names(folder / kChanged);
  return snapshot;
}

void RegistrySnapshot::will_change(const std::string& expert) {
  if (changed_.insert(expert).second) write_changed();
}

void RegistrySnapshot::restore(const registry::ChangeNote& note) {
  const FileLock lock = registry::lock_registry(registry_, log_);
  registry::Change change(registry_, lock, log_);
  for (const fs::path& file : shared_files(registry_)) {
    if (!fs::exists(folder_ / file)) change.remove(file);
  }
  for (const fs::path& file : shared_files(folder_))
    change.put(file, read_file(folder_ / file, "E_REG_IO"));
  change.commit(note);
  for (const std::string& expert : changed_) {
    const fs::path history = registry::expert_history({}, expert);
    if (fs::exists(folder_ / history))
      write_file_atomic(registry_ / history, read_file(folder_ / history, "E_REG_IO"));
    remove_newer_versions(expert);
  }
  changed_.clear();
  write_changed();
}

void RegistrySnapshot::keep(const fs::path& file) const {
  make_folder((folder_ / file).parent_path());
  fs::copy_file(registry_ / file, folder_ / file);
}

std::vector<fs::path> RegistrySnapshot::newer_versions(const std::string& expert) const {
  std::error_code none;
  std::vector<fs::path> newer;
  for (const auto& version :
       fs::directory_iterator(registry_ / registry::kExpertsFolder / expert, none)) {
    if (!versions_.contains(fs::path(expert) / version.path().filename()))
      newer.push_back(version.path());
  }
  return newer;
}

void RegistrySnapshot::remove_newer_versions(const std::string& expert) const {
  for (const fs::path& version : newer_versions(expert)) {
    std::error_code error;
    fs::remove_all(version, error);
    if (!error) continue;
    log_.warning(
        fmt::format("{} cannot be removed: {}", escaped(version.string()), error.message()));
  }
}

void RegistrySnapshot::write_changed() const {
  write_file_atomic(folder_ / kChanged, to_text(changed_));
}

}  // namespace moecollab::contribution
