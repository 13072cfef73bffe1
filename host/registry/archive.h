// A package as one file, FILE.moec: a ustar archive whose bytes its contents decide.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/files.h"

namespace moecollab::registry {

inline constexpr uint64_t kMaxArchive = uint64_t{4} << 30;  // bytes

// Files by relative path, as ustar: sorted, uncompressed, mode 0644, owner, group and time 0.
std::string to_archive(const std::map<std::string, std::string>& files);

// The files of an archive that is, byte for byte, what to_archive() gives for them; anything else
// (another order or header, a link, a folder, trailing bytes) is E_PLUG_ARCHIVE. `file` is named.
std::map<std::string, std::string> from_archive(std::string_view bytes, const std::string& file);

// expert.toml, what it vouches for and, if it is there, its signature. Throws as check_files().
std::map<std::string, std::string> package_files(const fs::path& folder);

// Writes the files of an archive into the empty folder. Paths were checked by from_archive().
void extract(const std::map<std::string, std::string>& files, const fs::path& folder);

}  // namespace moecollab::registry
