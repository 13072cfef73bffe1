// A package folder: the manifest, and the files that it vouches for.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "registry/manifest.h"

namespace moecollab::registry {

struct Package {
  fs::path folder;
  Manifest manifest;
  // SHA-256 of expert.toml's bytes: the identity of the package, since the manifest holds the
  // digest of every other file.
  std::string manifest_sha256;
};

// Reads expert.toml (and the labels_file it names). Throws E_REG_IO naming path and errno for a
// folder or expert.toml that is not there or cannot be read, E_PLUG_PATH if expert.toml is no
// regular file, and as parse_manifest.
Package open_package(const fs::path& folder);

// Whether a path inside a package is that of its library: "lib<name>.so", at the top.
bool is_library_name(std::string_view path);

// Paths of everything below the folder but folders, relative and sorted; links are not followed.
// Throws E_REG_IO.
std::vector<std::string> entries_below(const fs::path& folder);

// The package's library, "lib<name>.so" at its top: the one such entry of [files]. Throws
// E_PLUG_PATH if there is none, or more than one.
std::string library_file(const Manifest& manifest);

// Every file of [files] is there, is a regular file reached over no symbolic link (E_PLUG_PATH) and
// has the SHA-256 written there (E_PLUG_DIGEST with both); nothing else lies in the folder but
// expert.toml and its signature (E_PLUG_PATH). Reads every byte of the package.
// The digests of `read_later` are left to whoever reads these files (read_checked()).
void check_files(const Package& package, std::span<const std::string> read_later = {});

// The bytes of a file of [files], read once and held against its digest: what is used is what was
// checked, whatever becomes of the file. Throws E_PLUG_PATH, E_PLUG_DIGEST, E_REG_IO, and
// E_REG_SIZE above the limit.
std::string read_checked(const Package& package, const std::string& path, uint64_t limit);

}  // namespace moecollab::registry
