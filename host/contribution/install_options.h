// What `experts add` and `experts upgrade` are asked for.
#pragma once

#include <string>

#include "base/files.h"

namespace moecollab::contribution {

struct InstallOptions {
  // A package; of an upgrade also the name of an expert, whose newest installed version is taken.
  fs::path package;
  std::string name;      // in the registry; empty: the package's own
  std::string reason;    // for the history
  bool upgrade = false;  // the expert must be there, at a lower version
  bool dry_run = false;  // every check, and nothing is written
};

}  // namespace moecollab::contribution
