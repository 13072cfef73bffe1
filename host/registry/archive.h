// What a package's one file, FILE.moec (base/archive.h), holds.
#pragma once

#include <map>
#include <string>

#include "base/files.h"

namespace moecollab::registry {

inline constexpr uint64_t kMaxArchive = uint64_t{4} << 30;  // bytes

// expert.toml, what it vouches for and, if it is there, its signature. Throws as check_files().
std::map<std::string, std::string> package_files(const fs::path& folder);

// Writes the files of an archive into the empty folder. Paths were checked by from_archive().
void extract(const std::map<std::string, std::string>& files, const fs::path& folder);

}  // namespace moecollab::registry
