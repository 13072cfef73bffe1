#include "contribution/install.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "pipeline/instantiate.h"
#include "pipeline/probe.h"
#include "registry/operations.h"
#include "registry/permissions.h"
#include "registry/registry_edit.h"
#include "registry/rollback.h"

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
  registry::protect(to);
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

// Whether the package lies there, with every file as its manifest says.
bool is_whole(const fs::path& folder, const std::string& manifest_sha256) {
  try {
    const registry::Package there = registry::open_package(folder);
    registry::check_files(there);
    return there.manifest_sha256 == manifest_sha256;
  } catch (const Error&) {
    return false;
  }
}

// A package in its folder, which leaves it again unless it stays.
class PlacedPackage {
 public:
  PlacedPackage(const registry::Package& package, fs::path target) : target_(std::move(target)) {
    if (is_whole(target_, package.manifest_sha256)) return;
    is_new_ = !fs::exists(target_);
    place_locked(package, target_);
  }
  ~PlacedPackage() {
    if (!is_new_) return;
    std::error_code ignored;
    fs::remove_all(target_, ignored);
    fs::remove(target_.parent_path(), ignored);  // if it was the only version
  }
  PlacedPackage(const PlacedPackage&) = delete;
  void stays() { is_new_ = false; }

 private:
  fs::path target_;
  bool is_new_ = false;
};

// The package that lies there; none if that cannot be read.
std::optional<std::string> digest_of_installed(const fs::path& folder) {
  try {
    return registry::open_package(folder).manifest_sha256;
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Refuses another package of a version that is installed, unless it is one that a lock of this
// registry has had: then what lies there was edited or damaged, and is put right.
void require_same(const fs::path& registry, const registry::Package& package,
                  const fs::path& target, const std::string& name) {
  if (!fs::exists(target)) return;
  const registry::Lock lock = registry::read_lock(registry);
  const registry::LockEntry* locked = lock.find(name);
  const bool is_locked = locked != nullptr && locked->version == package.manifest.expert.version;
  std::optional<std::string> there =
      is_locked ? locked->manifest_sha256 : digest_of_installed(target);
  if (!there || *there == package.manifest_sha256 ||
      registry::was_selected(registry, name, package.manifest_sha256))
    return;
  throw Error("E_REG_EXISTS",
              fmt::format("{} {} is installed already with another package ({}, the new one is {})",
                          name, package.manifest.expert.version.text(), there->substr(0, 12),
                          package.manifest_sha256.substr(0, 12)),
              "give the new package a higher version");
}

// The lock selects the package from now on, whatever versions lie there.
void select(const registry::Package& package, const std::string& name, registry::Lock& lock) {
  std::erase_if(lock.entries, [&](const registry::LockEntry& entry) { return entry.name == name; });
  registry::LockEntry entry;
  entry.name = name;
  entry.id = package.manifest.expert.id;
  entry.version = package.manifest.expert.version;
  entry.manifest_sha256 = package.manifest_sha256;
  lock.entries.push_back(std::move(entry));
}

// Whether the lock selects the package from now on: it is higher than the one that it has, or of
// that very version, whose package is lost.
bool replaces(const registry::Package& package, const registry::ExpertEntry& entry,
              const registry::Lock& lock) {
  const registry::Version& version = package.manifest.expert.version;
  const registry::LockEntry* locked = lock.find(entry.name);
  if (locked == nullptr || !entry.version.contains(version)) return false;
  if (locked->version == version) return locked->manifest_sha256 != package.manifest_sha256;
  return !entry.pin && locked->version < version;
}

// The state with an entry for the package, and its version in the lock if it is to be selected.
registry::RegistryState with_package(registry::RegistryState state, const fs::path& folder,
                                     const registry::Package& package, const std::string& name,
                                     Origin origin) {
  const std::string file = shown(registry::registry_path(folder));
  const registry::ExpertTable& expert = package.manifest.expert;
  const registry::RegistryFile registry = registry::parse_registry(state.registry, file);
  registry::Lock lock = registry::parse_lock(state.lock, shown(folder / registry::kLockFile));
  if (origin == Origin::kTrainedHere) {
    lock.made_here.insert(package.manifest_sha256);
    if (pipeline::has_stock_library(package.manifest)) {
      lock.own_libraries.insert(
          package.manifest.files.at(registry::library_file(package.manifest)));
    }
  }
  const auto entry = std::ranges::find(registry.experts, name, &registry::ExpertEntry::name);
  if (entry == registry.experts.end()) {
    registry::ExpertEntry added;
    added.name = name;
    added.id = expert.id;
    added.version = registry::VersionRange::parse("^" + expert.version.text());
    state.registry = registry::with_expert(state.registry, added, file);
    select(package, name, lock);
  } else {
    registry::require_id(package, *entry);
    if (replaces(package, *entry, lock)) select(package, name, lock);
  }
  state.lock = registry::lock_text(lock);
  return state;
}

// Refuses a package that is refused in the place of another one, which may work.
void require_not_refused(const pipeline::Pool& pool, const registry::Package& package,
                         const std::string& name, const registry::Lock& before) {
  const registry::LockEntry* replaced = before.find(name);
  if (replaced == nullptr || replaced->manifest_sha256 == package.manifest_sha256) return;
  for (const registry::Candidate& candidate : pool.candidates()) {
    if (candidate.name != name || !registry::is_refused(candidate.state)) continue;
    if (candidate.package && candidate.package->manifest_sha256 == package.manifest_sha256)
      throw Error(candidate.refusal->code, candidate.refusal->rule, candidate.refusal->hint);
  }
}

}  // namespace

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
  const FileLock lock = registry::lock_registry(folder, log);
  if (fs::exists(folder / registry::kRegistryFile)) return;  // meanwhile
  registry::EncoderEntry entry;
  const encoder::EncoderFolder opened =
      encoder::open_encoder_folder(encoder.folder, encoder.max_length);
  for (const std::string& note : opened.notes) log.note(note);
  entry.path = registry::encoder_path(encoder.folder, folder);
  entry.max_length = opened.max_length;
  entry.special_tokens =
      encoder.special_tokens == text::SpecialTokens::kLiteral ? "literal" : "split";
  entry.fingerprint = encoder::fingerprint(encoder);
  write_file_atomic(folder / registry::kRegistryFile, registry::new_registry_text(entry));
}

void place_package(const fs::path& registry_folder, const registry::Package& package,
                   const fs::path& target, Log log) {
  const FileLock lock = registry::lock_registry(registry_folder, log);
  remove_staging(target.parent_path());
  place_locked(package, target);
}

void require_installable(const fs::path& registry, const registry::Package& package,
                         const std::string& name) {
  require_same(registry, package,
               registry::version_folder(registry, name, package.manifest.expert.version), name);
  with_package(registry::read_state(registry), registry, package, name, Origin::kElsewhere);
}

int64_t install(const pipeline::PoolOptions& open, const registry::Package& package,
                const std::string& name, Origin origin, const More& more) {
  const Log log = open.context.log;
  const FileLock held = registry::lock_registry(open.registry, log);
  registry::Change change(open.registry, held, log);
  const fs::path target =
      registry::version_folder(open.registry, name, package.manifest.expert.version);
  remove_staging(target.parent_path());
  require_same(open.registry, package, target, name);
  if (const auto there = digest_of_installed(target); there && *there != package.manifest_sha256) {
    log.warning(fmt::format("{} {}: the package {} takes the place of {}", name,
                            package.manifest.expert.version.text(),
                            package.manifest_sha256.substr(0, 12), there->substr(0, 12)));
  }
  pipeline::PoolOptions proposal = open;
  if (!more) proposal.cache = nullptr;
  proposal.tolerate_refused = true;
  proposal.proposed =
      with_package(registry::read_state(open.registry), open.registry, package, name, origin);
  PlacedPackage placed(package, target);
  pipeline::Pool pool(proposal);
  if (origin == Origin::kElsewhere)
    require_not_refused(pool, package, name, registry::read_lock(open.registry));
  change.put(registry::kRegistryFile, pool.state().registry);
  change.put(registry::kLockFile, registry::lock_text(lock_of(pool)));
  if (more) more(pool, change);
  int64_t number = 0;
  try {
    number = change.commit(open.note);
  } catch (...) {
    if (fs::exists(registry::pending_file(open.registry))) placed.stays();  // it is decided
    throw;
  }
  placed.stays();
  return number;
}

bool check_package(pipeline::PoolOptions open, const registry::Package& package) {
  open.tolerate_refused = true;
  pipeline::Pool pool(open);
  const std::vector<registry::Refusal> reasons =
      registry::check(package.manifest, pipeline::host_facts(pool.encoder()));
  if (!reasons.empty())
    throw Error(reasons.front().code, reasons.front().rule, reasons.front().hint);
  fusion::LabelUnion labels = pool.labels();
  labels.add({package.manifest.task.label_space, package.manifest.task.labels},
             package.manifest.task.partial, "the package");
  const auto expert = pipeline::instantiate(package, pool.encoder(), open.compute, open.context,
                                            pool.place(package));
  return pipeline::check_probe(package, *expert, pool.probe_encoder());
}

registry::Lock lock_of(pipeline::Pool& pool) {
  registry::Lock lock = pool.lock().emptied();
  for (const registry::Candidate& candidate : pool.candidates()) {
    if (!candidate.entry) continue;
    const registry::LockEntry* before = pool.lock().find(candidate.name);
    const bool is_kept = before != nullptr &&
                         (!candidate.package || registry::was_edited(*candidate.package, *before));
    if (is_kept) lock.entries.push_back(*before);  // what is known of it stays known
    if (is_kept || !candidate.package) continue;
    registry::LockEntry entry = registry::lock_entry(candidate);
    for (const pipeline::InstalledExpert& expert : pool.experts()) {
      if (expert.name == candidate.name) entry.probe = expert.probe;
    }
    lock.entries.push_back(std::move(entry));
  }
  return lock;
}

}  // namespace moecollab::contribution
