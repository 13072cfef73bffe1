// A package as one file, FILE.moec: a ustar archive whose bytes its contents decide.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace moecollab {

// Files by relative path, as ustar: sorted, uncompressed, mode 0644, owner, group and time 0.
std::string to_archive(const std::map<std::string, std::string>& files);

// The files of an archive that is, byte for byte, what to_archive() gives for them; anything else
// (another order or header, a link, a folder, trailing bytes) is E_PLUG_ARCHIVE. `file` is named.
std::map<std::string, std::string> from_archive(std::string_view bytes, const std::string& file);

// Files of any size, one after the other.
struct ArchiveFile {
  std::string path;  // in the archive
  fs::path file;     // whose content it has
};

// Writes a ustar archive of these files, atomically. Throws E_WRITE, E_REG_IO for a file that
// cannot be read or that changes meanwhile, E_PLUG_PATH for a path that is not relative or too
// long.
// `before_replacing` is called when all is written; if it throws, `output` is as before.
void write_archive(const fs::path& output, const std::vector<ArchiveFile>& files,
                   const std::function<void()>& before_replacing = {});

// Extracts plain files of a ustar archive into the empty folder. Throws E_REG_ARCHIVE for anything
// else in it (a link, a folder, a device, a path that leaves the folder, one that is there twice,
// files larger than the archive), for a damaged one and for more than kMaxArchiveFiles; E_REG_IO
// and E_WRITE. What is there is then for the caller to remove.
inline constexpr size_t kMaxArchiveFiles = 100000;
void extract_archive(const fs::path& file, const fs::path& folder);

}  // namespace moecollab
