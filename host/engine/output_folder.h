// Where a run leaves results beside its registry.
#pragma once

#include <initializer_list>

#include "base/files.h"

namespace moecollab::engine {

// The folder, made if it is not there. Throws E_WRITE unless these files could be written in it
// now.
inline fs::path make_output_folder(const fs::path& folder,
                                   std::initializer_list<const char*> files) {
  make_folder(folder);
  for (const char* file : files) require_writable(folder / file);
  return folder;
}

}  // namespace moecollab::engine
