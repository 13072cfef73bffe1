#include "contribution/install.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file_lock.h"
#include "base/strings.h"
#include "registry/registry_edit.h"

namespace moecollab::contribution {
namespace {

constexpr const char* kStaging = ".new";  // packages that are being copied: .new.XXXXXX

[[noreturn]] void fail_write(const fs::path& path, const std::error_code& error) {
  throw Error("E_WRITE",
              fmt::format("{} cannot be written: {}", escaped(path.string()), error.message()));
}

// One change of a registry at a time.
FileLock lock_registry(const fs::path& folder) { return FileLock::wait(folder / ".lock"); }

// With the lock held, every staging folder is one of a process that was killed.
void remove_staging(const fs::path& parent, std::error_code& error) {
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    if (entry.path().filename().string().starts_with(kStaging)) left.push_back(entry.path());
  }
  for (const fs::path& folder : left) {
    if (!error) fs::remove_all(folder, error);
  }
}

void copy_package(const registry::Package& package, const fs::path& to, std::error_code& error) {
  fs::create_directory(to, error);
  const auto copy = [&](const std::string& name) {
    if (!error) fs::create_directories((to / name).parent_path(), error);
    if (!error) fs::copy_file(package.folder / name, to / name, error);
  };
  copy(registry::kManifestFile);
  for (const auto& [name, sha256] : package.manifest.files) copy(name);
  if (fs::exists(package.folder / registry::kSignatureFile)) copy(registry::kSignatureFile);
}

// place_package() of one who has the lock.
void place_locked(const registry::Package& package, const fs::path& target) {
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  if (!error) remove_staging(target.parent_path(), error);
  if (error) fail_write(target, error);
  const TemporaryFolder staging(target.parent_path(), kStaging);
  const fs::path copy = staging.path() / "package";
  copy_package(package, copy, error);
  if (!error) fs::remove_all(target, error);
  if (!error) fs::rename(copy, target, error);
  if (error) fail_write(target, error);
}

}  // namespace

void ensure_registry(const fs::path& folder, const encoder::EncoderSettings& encoder) {
  if (fs::exists(folder / registry::kRegistryFile)) return;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_write(folder, error);
  const FileLock lock = lock_registry(folder);
  if (fs::exists(folder / registry::kRegistryFile)) return;  // meanwhile
  registry::EncoderEntry entry;
  entry.path = fs::absolute(encoder.folder).lexically_normal().string();
  entry.max_length = encoder.max_length;
  entry.special_tokens =
      encoder.special_tokens == text::SpecialTokens::kLiteral ? "literal" : "split";
  entry.fingerprint = encoder::fingerprint(encoder);
  write_file_atomic(folder / registry::kRegistryFile, registry::new_registry_text(entry));
}

void place_package(const fs::path& registry_folder, const registry::Package& package,
                   const fs::path& target) {
  const FileLock lock = lock_registry(registry_folder);
  place_locked(package, target);
}

void install(const fs::path& registry_folder, const registry::Package& package,
             const std::string& name) {
  const FileLock lock = lock_registry(registry_folder);
  const registry::RegistryFile registry = registry::read_registry(registry_folder);
  const std::string version = package.manifest.expert.version.text();
  const fs::path target = registry_folder / registry::kExpertsFolder / name / version;
  if (fs::exists(target)) {
    const std::string there = registry::open_package(target).manifest_sha256;
    if (there != package.manifest_sha256) {
      throw Error(
          "E_REG_EXISTS",
          fmt::format("{} {} is installed already with another package ({}, the new one is {})",
                      name, version, there.substr(0, 12), package.manifest_sha256.substr(0, 12)),
          "give the new package a higher version");
    }
  } else {
    place_locked(package, target);
  }
  for (const registry::ExpertEntry& entry : registry.experts) {
    if (entry.name == name) return;
  }
  registry::ExpertEntry entry;
  entry.name = name;
  entry.id = package.manifest.expert.id;
  entry.version = registry::VersionRange::parse("^" + version);
  registry::append_expert(registry_folder, entry);
}

void update_lock(const pipeline::Pool& pool, std::vector<pipeline::InstalledExpert>& experts) {
  registry::Lock lock;
  for (const registry::Candidate& candidate : pool.candidates()) {
    if (!candidate.package || !candidate.entry) continue;
    const registry::Manifest& manifest = candidate.package->manifest;
    registry::LockEntry entry;
    entry.name = candidate.name;
    entry.id = manifest.expert.id;
    entry.version = manifest.expert.version;
    entry.manifest_sha256 = candidate.package->manifest_sha256;
    entry.library_sha256 = manifest.files.at(registry::library_file(manifest));
    entry.state = candidate.state;
    if (candidate.refusal) {
      entry.code = candidate.refusal->code;
      entry.reason = candidate.refusal->rule;
    }
    for (const pipeline::InstalledExpert& expert : experts) {
      if (expert.name == candidate.name) entry.probe = expert.probe;
    }
    lock.entries.push_back(std::move(entry));
  }
  registry::write_lock(pool.options().registry, lock);
}

}  // namespace moecollab::contribution
