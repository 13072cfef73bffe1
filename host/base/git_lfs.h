// What git leaves in place of a file whose bytes git-lfs keeps elsewhere.
#pragma once

#include <string>

#include "base/files.h"

namespace moecollab {

// Throws `code` naming the file, the bytes that it stands for and the command that fetches them, if
// `file` is such a pointer. A file that cannot be read is left to its reader, who names the reason.
void refuse_lfs_pointer(const fs::path& file, const std::string& code);

}  // namespace moecollab
