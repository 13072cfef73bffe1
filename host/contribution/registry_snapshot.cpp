#include "contribution/registry_snapshot.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "contribution/install.h"
#include "registry/layout.h"
#include "registry/lock.h"

namespace moecollab::contribution {
namespace {

// registry.lock.toml and the gate's files, relative to the folder.
std::vector<fs::path> shared_files(const fs::path& folder) {
  std::vector<fs::path> found;
  if (fs::exists(folder / registry::kLockFile)) found.push_back(registry::kLockFile);
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(registry::gate_folder(folder), none))
    found.push_back(fs::relative(entry.path(), folder));
  return found;
}

}  // namespace

RegistrySnapshot::RegistrySnapshot(const fs::path& registry, Log log)
    : registry_(registry), log_(log), copy_("moecollab-round") {
  for (const fs::path& file : shared_files(registry_)) keep(file);
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(registry_ / registry::kHistoryFolder, none))
    keep(fs::path(registry::kHistoryFolder) / entry.path().filename());
  for (const auto& expert : fs::directory_iterator(registry_ / registry::kExpertsFolder, none)) {
    for (const auto& version : fs::directory_iterator(expert.path(), none))
      versions_.insert(version.path());
  }
}

void RegistrySnapshot::restore() const {
  const FileLock lock = lock_registry(registry_, log_);
  for (const fs::path& file : shared_files(registry_)) {
    if (!fs::exists(copy_.path() / file)) fs::remove(registry_ / file);
  }
  for (const fs::path& file : shared_files(copy_.path())) put_back(file);
  for (const std::string& expert : changed_) {
    const fs::path history = registry::expert_history({}, expert);
    if (fs::exists(copy_.path() / history)) put_back(history);
    remove_newer_versions(expert);
  }
}

void RegistrySnapshot::keep(const fs::path& file) const {
  make_folder((copy_.path() / file).parent_path());
  fs::copy_file(registry_ / file, copy_.path() / file);
}

void RegistrySnapshot::put_back(const fs::path& file) const {
  write_file_atomic(registry_ / file, read_file(copy_.path() / file, "E_REG_IO"));
}

void RegistrySnapshot::remove_newer_versions(const std::string& expert) const {
  std::error_code error;
  std::vector<fs::path> newer;
  for (const auto& version :
       fs::directory_iterator(registry_ / registry::kExpertsFolder / expert, error)) {
    if (!versions_.contains(version.path())) newer.push_back(version.path());
  }
  for (const fs::path& version : newer) {
    fs::remove_all(version, error);
    if (!error) continue;
    log_.warning(
        fmt::format("{} cannot be removed: {}", escaped(version.string()), error.message()));
  }
}

}  // namespace moecollab::contribution
