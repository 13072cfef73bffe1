#include "registry/package.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "registry/beneath.h"
#include "registry/desktop_files.h"
#include "registry/labels.h"

namespace moecollab::registry {
namespace {

void refuse_unlisted(const Package& package) {
  for (const std::string& path : entries_below(package.folder)) {
    if (path == kManifestFile || path == kSignatureFile || package.manifest.files.contains(path)) {
      continue;
    }
    const fs::path file = package.folder / path;
    if (is_desktop_file(file.filename().string())) {
      throw Error("E_PLUG_PATH",
                  fmt::format("{}: a desktop's file manager left it in the package", shown(file)),
                  "remove it: " + removal_command(file));
    }
    throw Error("E_PLUG_PATH",
                fmt::format("{}: lies in the package, but [files] of its {} does not list it",
                            shown(file), kManifestFile),
                "remove the file, or have the package made again");
  }
}

void require_digest(const Package& package, const std::string& path, const std::string& seen) {
  const std::string& stated = package.manifest.files.at(path);
  if (seen == stated) return;
  throw Error("E_PLUG_DIGEST",
              fmt::format("{}: SHA-256 is {}, the manifest says {}", shown(package.folder / path),
                          seen, stated),
              "the file is damaged or was changed: add the package again from its source");
}

}  // namespace

bool is_library_name(std::string_view path) {
  return path.starts_with("lib") && path.ends_with(".so") &&
         path.size() > std::string_view("lib.so").size() && path.find('/') == path.npos;
}

std::vector<std::string> entries_below(const fs::path& folder) {
  std::vector<std::string> found;
  try {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_symlink() && entry.is_directory()) continue;
      found.push_back(entry.path().lexically_relative(folder).string());
    }
  } catch (const fs::filesystem_error& error) {
    throw Error("E_REG_IO",
                fmt::format("{} cannot be read: {}", shown(folder), error.code().message()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

Package open_package(const fs::path& folder) {
  std::error_code ignored;
  if (fs::is_directory(folder, ignored) &&
      !fs::exists(fs::symlink_status(folder / kManifestFile, ignored))) {
    throw Error(
        "E_REG_IO",
        fmt::format("{} cannot be read: {}", shown(folder / kManifestFile), std::strerror(ENOENT)),
        "name a package: a folder that holds expert.toml");
  }
  const std::string bytes = PackageFile(folder, kManifestFile).read(kMaxManifest);
  Package package{folder, parse_manifest(bytes, shown(folder / kManifestFile)), sha256_hex(bytes)};
  TaskTable& task = package.manifest.task;
  if (!task.labels_file.empty()) {
    task.labels = parse_labels(PackageFile(folder, task.labels_file).read(kMaxLabelsFile),
                               shown(folder / task.labels_file));
  }
  return package;
}

Manifest read_manifest(const fs::path& package_folder) {
  return open_package(package_folder).manifest;
}

std::string library_file(const Manifest& manifest) {
  std::string library;
  for (const auto& [path, digest] : manifest.files) {
    if (!is_library_name(path)) continue;
    if (!library.empty()) {
      throw Error("E_PLUG_PATH",
                  fmt::format("{}: two libraries in [files], {} and {}; a package has one",
                              manifest.expert.name, library, path));
    }
    library = path;
  }
  if (library.empty()) {
    throw Error(
        "E_PLUG_PATH",
        fmt::format("{}: missing library: [files] lists no lib<name>.so", manifest.expert.name),
        "have the package made again: moecollab_add_expert() lists its library");
  }
  return library;
}

void check_files(const Package& package, std::span<const std::string> read_later) {
  library_file(package.manifest);
  refuse_unlisted(package);
  for (const auto& [path, stated] : package.manifest.files) {
    const PackageFile file(package.folder, path);
    if (std::ranges::find(read_later, path) == read_later.end())
      require_digest(package, path, file.sha256_hex());
  }
}

std::string read_checked(const Package& package, const std::string& path, uint64_t limit) {
  std::string bytes = PackageFile(package.folder, path).read(limit);
  require_digest(package, path, sha256_hex(bytes));
  return bytes;
}

}  // namespace moecollab::registry
