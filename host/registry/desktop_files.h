// Files that desktops leave in folders that somebody looked at.
#pragma once

#include <string>
#include <string_view>

#include "base/files.h"

namespace moecollab::registry {

// Whether a file of this name (not path) is one: .DS_Store, ._NAME, .directory, Thumbs.db,
// desktop.ini, in either case. None of them is a name of an expert or a version.
bool is_desktop_file(std::string_view name);

// The command that removes the file, for a shell.
std::string removal_command(const fs::path& file);

}  // namespace moecollab::registry
