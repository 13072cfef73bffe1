// A package as one file, FILE.moec: a ustar archive whose bytes its contents decide.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace moecollab {

// Files by relative path, as ustar: sorted, uncompressed, mode 0644, owner, group and time 0.
std::string to_archive(const std::map<std::string, std::string>& files);

// The files of an archive that is, byte for byte, what to_archive() gives for them; anything else
// (another order or header, a link, a folder, trailing bytes) is E_PLUG_ARCHIVE. `file` is named.
std::map<std::string, std::string> from_archive(std::string_view bytes, const std::string& file);

}  // namespace moecollab
