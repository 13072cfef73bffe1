// What an installed expert is to the row of its name in a fitted gate.
#pragma once

#include <string>

#include "pipeline/gate_file.h"
#include "registry/package.h"

namespace moecollab::pipeline {

struct GateStanding {
  enum class Kind {
    kFitted,       // the row was fitted for this very package
    kOnProbation,  // for one that it replaces: equal labels, inputs and encoder
    kMismatch      // for another that it cannot stand in for
  } kind;
  std::string reason;  // a sentence with the two packages or values; "" if fitted
};

// Compares the package with the one that the row was fitted for, which lies beside it under the
// row's version as long as it is not removed. Reads that one's manifest.
GateStanding standing_of(const GateRow& row, const registry::Package& package);

}  // namespace moecollab::pipeline
