// What an installed expert is to the row of its name in a fitted gate.
#pragma once

#include <optional>
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

// What the gate's weights rest on and another package has otherwise, as a sentence; "": nothing.
std::string difference(const registry::Manifest& before, const registry::Manifest& now);

// Compares the package with the one that the row was fitted for, which lies beside it under the
// row's version as long as it is not removed. Reads that one's manifest.
GateStanding standing_of(const GateRow& row, const registry::Package& package);

// What the policy's probation_weight_cap says of a package: it counts for one whose row was fitted
// for another, and for one that came from elsewhere, until `admit` ends its probation.
std::optional<double> probation_cap(const registry::RegistryFile& registry,
                                    const registry::Lock& lock, const std::string& sha256,
                                    bool fitted);
// "it counts at most 0.2 until …", for one that has such a bound.
std::string capped_text(const std::string& name, double cap);

}  // namespace moecollab::pipeline
