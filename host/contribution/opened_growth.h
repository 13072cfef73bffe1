// A gate and the experts that are about to get a row in it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pipeline/open_gate.h"
#include "training/growth.h"

namespace moecollab::contribution {

// A gate as it lies on disk and as it will be read.
struct StoredGate {
  pipeline::GateFile file;  // all rows
  fusion::Mode fusion = {};
  int64_t top_k = 0;  // 0: all
};

// Everything that one growth works on. The experts are the pool's, all else is its own.
struct OpenedGrowth {
  StoredGate stored;
  std::vector<pipeline::InstalledExpert*> experts;  // of the rows whose experts are ready, then new
  std::vector<pipeline::InstalledExpert*> newcomers;
  training::GrowthSetting setting;  // its gate: these rows
  std::string domain;               // of the newcomers
};

// Throws E_CONFIG for a newcomer that is not ready, has a row already or is of another domain than
// the first one, and as open_gate(). In two factors also for another label space, and E_GATE if an
// expert of that space has a row and is not ready.
OpenedGrowth open_growth(pipeline::Pool& pool, StoredGate stored,
                         std::span<const std::string> newcomers);

}  // namespace moecollab::contribution
