// A change that an operator asks for.
#pragma once

#include "base/files.h"
#include "base/run_context.h"
#include "registry/history.h"

namespace moecollab::registry {

struct Operation {
  fs::path registry;
  ChangeNote note;
  bool dry_run = false;  // nothing is written
  Log log;
};

}  // namespace moecollab::registry
