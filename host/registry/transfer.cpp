#include "registry/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/archive.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/version.h"
#include "registry/damaged_state.h"
#include "registry/garbage.h"
#include "registry/history.h"
#include "registry/layout.h"
#include "registry/lock.h"
#include "registry/package.h"
#include "registry/permissions.h"
#include "registry/registry_edit.h"
#include "registry/registry_state.h"

namespace moecollab::registry {
namespace {

constexpr size_t kMaxExport = size_t{64} << 20;  // bytes of export.json
// What an archive may hold at its top.
constexpr std::array kTop = {"registry.toml", "registry.lock.toml", "gate",      "experts",
                             "heldout",       "admission",          "baselines", "precision",
                             "history",       "integration",        kExportFile};

// Files of the archive by their path in it.
using Contents = std::map<std::string, fs::path>;

void add_folder(const fs::path& registry, const fs::path& folder, Contents& contents) {
  std::error_code none;
  for (const auto& entry : fs::recursive_directory_iterator(registry / folder, none)) {
    if (entry.is_regular_file(none) && !entry.is_symlink(none) &&
        entry.path().extension() != kDamaged)
      contents[entry.path().lexically_relative(registry).generic_string()] = entry.path();
  }
}

void add_if_there(const fs::path& registry, const fs::path& file, Contents& contents) {
  if (fs::is_regular_file(file))
    contents[file.lexically_relative(registry).generic_string()] = file;
}

void add_package(const fs::path& registry, const fs::path& folder, Contents& contents) {
  const Package package = open_package(folder);
  check_files(package);
  add_folder(registry, folder.lexically_relative(registry), contents);
  add_if_there(registry, held_out_file(registry, package.manifest_sha256), contents);
  add_if_there(registry, admission_file(registry, package.manifest_sha256), contents);
  add_if_there(registry, integration_file(registry, package.manifest_sha256), contents);
}

// Curves of training: the changes of the registry itself stay.
void add_curves(const fs::path& registry, Contents& contents) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(registry / kHistoryFolder, none))
    if (entry.path().extension() == ".jsonl") add_if_there(registry, entry.path(), contents);
}

void require_settled(const fs::path& registry, const RegistryState& state) {
  if (!pending_change(registry) && read_state(registry) == state) return;
  throw Error("E_REG_IO", fmt::format("{} was changed while it was exported", shown(registry)),
              "try again; `moecollab experts lock` finishes what a killed process began");
}

void require_undamaged(const fs::path& registry) {
  const std::vector<std::string> damaged = damaged_files(registry);
  if (damaged.empty()) return;
  throw Error("E_REG_IO",
              fmt::format("{} is not as the last change left it, so a copy would be damaged, too",
                          shown(registry / damaged.front())),
              kept_content(registry, damaged.front())
                  ? kPutBackHint
                  : "take it from a back-up, or fit the gate again; the history lacks it");
}

[[noreturn]] void refuse(const fs::path& file, const std::string& what) {
  throw Error("E_REG_ARCHIVE", fmt::format("{}: {}", shown(file), what),
              "get it again, or make it with `moecollab registry export`");
}

Json read_export(const fs::path& folder, const fs::path& file) {
  const fs::path path = folder / kExportFile;
  if (!fs::exists(path)) refuse(file, "it is no exported registry");
  Json json;
  try {
    json = parse_json(read_file(path, "E_REG_ARCHIVE", kMaxExport));
  } catch (const std::invalid_argument& error) {
    refuse(file, fmt::format("{}: {}", kExportFile, error.what()));
  }
  const bool good = json.is_object() && json.value("schema", Json()) == 1 &&
                    json.value("files", Json()).is_object();
  if (!good) refuse(file, fmt::format("{} is not of this version", kExportFile));
  return json;
}

// Every file that was extracted is listed with its digest, and every listed one is there.
size_t check_digests(const fs::path& folder, const Json& listed, const fs::path& file) {
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = fs::relative(entry.path(), folder).generic_string();
    const std::string top = path.substr(0, path.find('/'));
    const bool curve = top != kHistoryFolder || path.ends_with(".jsonl");
    if (std::ranges::find(kTop, top) == kTop.end() || !curve)
      refuse(file, fmt::format("{} is nothing of a registry", escaped(path, 200)));
    if (path == kExportFile) continue;
    const Json stated = listed.value(path, Json());
    if (!stated.is_string() || stated != file_sha256_hex(entry.path(), "E_REG_IO"))
      refuse(file, fmt::format("{} is not what was exported", escaped(path, 200)));
    ++files;
  }
  if (files != listed.size()) refuse(file, "files are missing");
  return files;
}

void require_free(const fs::path& registry) {
  std::error_code none;
  if (!fs::exists(fs::symlink_status(registry, none)) || fs::is_empty(registry, none)) return;
  throw Error(
      "E_CONFIG", fmt::format("{} is there already", shown(registry)),
      "name a folder that is not there with --registry; if an import left it that found something "
      "wrong, put that right there, or remove it");
}

// The version folders below experts/, each a whole package.
std::vector<std::string> checked_packages(const fs::path& registry, const fs::path& file) {
  std::vector<std::string> packages;
  std::error_code none;
  for (const auto& expert : fs::directory_iterator(registry / kExpertsFolder, none)) {
    if (!expert.is_directory()) refuse(file, shown(expert.path().filename()) + " is no expert");
    for (const auto& version : fs::directory_iterator(expert.path())) {
      check_files(open_package(version.path()));
      packages.push_back(fmt::format("{} {}", expert.path().filename().string(),
                                     version.path().filename().string()));
    }
  }
  std::ranges::sort(packages);
  return packages;
}

}  // namespace

Transfer export_registry(const fs::path& registry, const fs::path& output) {
  require_undamaged(registry);
  const RegistryState state = read_state(registry);
  const RegistryFile file = parse_registry(state.registry, shown(registry / kRegistryFile));
  Transfer transfer;
  transfer.fingerprint = file.encoder.fingerprint;
  Contents contents;
  for (const auto& [name, version] : packages_of(registry, state)) {
    // The one that a gate row was fitted for may have been collected since.
    if (!fs::exists(registry / kExpertsFolder / name / version)) continue;
    add_package(registry, registry / kExpertsFolder / name / version, contents);
    transfer.packages.push_back(fmt::format("{} {}", name, version));
  }
  for (const char* folder : {kGateFolder, kBaselinesFolder, kPrecisionFolder})
    add_folder(registry, folder, contents);
  add_if_there(registry, registry / kLockFile, contents);
  add_curves(registry, contents);
  const TemporaryFolder made;
  const std::string text = with_encoder_path(state.registry, "encoder", kRegistryFile);
  write_file_atomic(made.path() / kRegistryFile, text);
  contents[kRegistryFile] = made.path() / kRegistryFile;
  Json digests = Json::object();
  for (const auto& [path, source] : contents) digests[path] = file_sha256_hex(source, "E_REG_IO");
  write_file_atomic(made.path() / kExportFile, to_text({{"schema", 1},
                                                        {"version", kVersion},
                                                        {"encoder", transfer.fingerprint},
                                                        {"files", digests}}));
  std::vector<ArchiveFile> files = {{kExportFile, made.path() / kExportFile}};
  for (const auto& [path, source] : contents) files.push_back({path, source});
  require_settled(registry, state);
  write_archive(output, files, [&] { require_settled(registry, state); });
  transfer.files = contents.size();
  transfer.bytes = fs::file_size(output);
  return transfer;
}

Transfer import_registry(const fs::path& file, const fs::path& registry, const fs::path& encoder) {
  require_free(registry);
  std::error_code none;
  if (!fs::is_directory(encoder, none)) {
    throw Error(
        "E_ENCODER",
        fmt::format("there is no encoder {}, which the registry would need", shown(encoder)),
        "give its folder with --encoder; nothing was made");
  }
  const fs::path target = fs::absolute(registry / "").lexically_normal().parent_path();
  make_folder(target.parent_path());
  const TemporaryFolder beside(target.parent_path(), ".import");
  const fs::path folder = beside.path() / "registry";
  make_folder(folder);
  extract_archive(file, folder);
  const Json json = read_export(folder, file);
  Transfer transfer;
  transfer.files = check_digests(folder, json["files"], file);
  transfer.bytes = fs::file_size(file);
  if (!fs::exists(folder / kRegistryFile)) refuse(file, "it has no registry.toml");
  transfer.packages = checked_packages(folder, file);
  fs::remove(folder / kExportFile);
  const std::string text = read_file(folder / kRegistryFile, "E_REG_IO", kMaxRegistry);
  transfer.fingerprint = parse_registry(text, kRegistryFile).encoder.fingerprint;
  // The path counts from where the registry will be.
  make_folder(target);
  write_file_atomic(folder / kRegistryFile,
                    with_encoder_path(text, encoder_path(encoder, target), kRegistryFile));
  protect(folder);
  sync_folder(folder);
  std::error_code error;
  fs::rename(folder, target, error);  // over the empty folder
  if (error)
    throw Error("E_WRITE", fmt::format("{} cannot be written: {}", shown(target), error.message()));
  return transfer;
}

}  // namespace moecollab::registry
