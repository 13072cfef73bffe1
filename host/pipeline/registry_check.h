// Everything that `eval` and `predict` would refuse of a registry, at once.
#pragma once

#include <string>
#include <vector>

#include "pipeline/pool.h"
#include "registry/state.h"

namespace moecollab::pipeline {

struct CheckFinding {
  std::string subject;  // "registry", "gate", or an expert's name
  registry::Refusal refusal;
};

// Empty if it can be used as it stands. An expert that is left out on purpose (disabled, or missing
// while on_missing = "skip" and not required) is no finding if the rest can be used; any other
// refusal is one. Writes nothing. Throws E_INTERRUPTED only.
std::vector<CheckFinding> check_registry(PoolOptions options);

}  // namespace moecollab::pipeline
