// Files that are compiled into the program (cmake/EmbedFiles.cmake).
#pragma once

#include <span>
#include <string_view>

namespace moecollab {

struct EmbeddedFile {
  std::string_view path;  // relative to the folder that was embedded
  std::string_view text;
};

}  // namespace moecollab
