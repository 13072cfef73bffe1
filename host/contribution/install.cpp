#include "contribution/install.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "registry/registry_edit.h"

namespace moecollab::contribution {
namespace {

constexpr const char* kStaging = ".new";  // packages that are being copied: .new.XXXXXX

[[noreturn]] void fail_write(const fs::path& path, const std::error_code& error) {
  throw Error("E_WRITE",
              fmt::format("{} cannot be written: {}", escaped(path.string()), error.message()));
}

// With the lock held, every staging folder is one of a process that was killed. One that cannot be
// removed (another user's) does no harm.
void remove_staging(const fs::path& parent) {
  std::error_code ignored;
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    if (entry.path().filename().string().starts_with(kStaging)) left.push_back(entry.path());
  }
  for (const fs::path& folder : left) fs::remove_all(folder, ignored);
}

void copy_package(const registry::Package& package, const fs::path& to) {
  const auto copy = [&](const std::string& name) {
    fs::create_directories((to / name).parent_path());
    fs::copy_file(package.folder / name, to / name);
  };
  copy(registry::kManifestFile);
  for (const auto& [name, sha256] : package.manifest.files) copy(name);
  if (fs::exists(package.folder / registry::kSignatureFile)) copy(registry::kSignatureFile);
  sync_folder(to);
}

// place_package() of one who has the lock.
void place_locked(const registry::Package& package, const fs::path& target) {
  try {
    fs::create_directories(target.parent_path());
    const TemporaryFolder staging(target.parent_path(), kStaging);
    copy_package(package, staging.path() / "package");
    if (fs::exists(target)) fs::rename(target, staging.path() / "old");
    fs::rename(staging.path() / "package", target);
  } catch (const fs::filesystem_error& error) {
    fail_write(target, error.code());
  }
}

// The encoder's folder as registry.toml names it. A registry and an encoder below the folder that
// holds the registry move together, so the path counts from the registry; any other encoder stays
// where it is if the registry is moved or copied, so its path is absolute.
std::string path_for_registry(const fs::path& encoder, const fs::path& registry) {
  const fs::path absolute = fs::absolute(encoder / "").lexically_normal().parent_path();
  std::error_code error;
  // The system resolves `..` from where the registry really lies; a link to the encoder is kept.
  const fs::path base = fs::canonical(registry, error);
  const fs::path above = error ? fs::path() : fs::canonical(absolute.parent_path(), error);
  if (error) return absolute.string();
  const fs::path relative = (above / absolute.filename()).lexically_relative(base);
  const auto ups = std::ranges::count(relative, fs::path(".."));
  // Below the root lies everything.
  const int most = base.parent_path() == base.root_path() ? 0 : 1;
  return ups <= most ? relative.string() : absolute.string();
}

// Whether a package lies there, with every file as its manifest says.
bool is_whole(const fs::path& folder) {
  try {
    registry::check_files(registry::open_package(folder));
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

FileLock lock_registry(const fs::path& folder, Log log) {
  return FileLock::wait(registry::change_lock(folder), log);
}

void ensure_registry(const fs::path& folder, const encoder::EncoderSettings& encoder, Log log) {
  if (fs::exists(registry::registry_path(folder))) return;
  std::error_code error;
  if (!fs::is_directory(encoder.folder, error)) {
    throw Error("E_ENCODER",
                fmt::format("the new registry {} needs an encoder, and there is no folder {}",
                            escaped(folder.string()), escaped(encoder.folder.string())),
                "name the encoder's folder with --encoder or MOECOLLAB_ENCODER; set-up puts one in "
                ".deps/encoder of the source tree");
  }
  make_folder(folder);
  const FileLock lock = lock_registry(folder, log);
  if (fs::exists(folder / registry::kRegistryFile)) return;  // meanwhile
  registry::EncoderEntry entry;
  const encoder::EncoderFolder opened =
      encoder::open_encoder_folder(encoder.folder, encoder.max_length);
  for (const std::string& note : opened.notes) log.note(note);
  entry.path = path_for_registry(encoder.folder, folder);
  entry.max_length = opened.max_length;
  entry.special_tokens =
      encoder.special_tokens == text::SpecialTokens::kLiteral ? "literal" : "split";
  entry.fingerprint = encoder::fingerprint(encoder);
  write_file_atomic(folder / registry::kRegistryFile, registry::new_registry_text(entry));
}

void place_package(const fs::path& registry_folder, const registry::Package& package,
                   const fs::path& target, Log log) {
  const FileLock lock = lock_registry(registry_folder, log);
  remove_staging(target.parent_path());
  place_locked(package, target);
}

void install(const fs::path& registry_folder, const registry::Package& package,
             const std::string& name, Log log) {
  const FileLock lock = lock_registry(registry_folder, log);
  const registry::RegistryFile registry = registry::read_registry(registry_folder);
  const std::string version = package.manifest.expert.version.text();
  const fs::path target =
      registry::version_folder(registry_folder, name, package.manifest.expert.version);
  remove_staging(target.parent_path());
  if (fs::exists(target)) {
    const std::string there = registry::open_package(target).manifest_sha256;
    if (there != package.manifest_sha256) {
      throw Error(
          "E_REG_EXISTS",
          fmt::format("{} {} is installed already with another package ({}, the new one is {})",
                      name, version, there.substr(0, 12), package.manifest_sha256.substr(0, 12)),
          "give the new package a higher version");
    }
  }
  if (!is_whole(target)) place_locked(package, target);
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

void refresh_lock(pipeline::PoolOptions open) {
  const FileLock lock = lock_registry(open.registry, open.context.log);
  open.cache = nullptr;
  open.tolerate_refused = true;
  pipeline::Pool pool(open);
  update_lock(pool, pool.experts());
}

}  // namespace moecollab::contribution
