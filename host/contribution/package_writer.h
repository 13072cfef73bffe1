// Writing a package: what was learnt, next to the library that learnt it.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "registry/manifest.h"
#include "registry/package.h"

namespace moecollab::contribution {

struct PackageContents {
  registry::Manifest manifest;                              // its [files] is filled in here
  fs::path library;                                         // copied under its own name
  std::vector<std::pair<std::string, at::Tensor>> weights;  // float32; none: no weights.safetensors
  bool bfloat16 = false;                                    // how they are stored
  Json probe;                                               // null: no probe.json
};

// Throws E_CONFIG unless a package of this manifest, but for its [files] and version, could be read
// back: to be called before anything is trained.
void require_readable(const registry::Manifest& manifest);

// Labels that are too many or too long for the manifest go into labels.txt beside it.
// Writes the package into the empty folder and reads it back. Throws E_WRITE.
registry::Package write_package(const fs::path& folder, const PackageContents& contents);

}  // namespace moecollab::contribution
