// A fitted gate over the experts of an opened registry.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pipeline/gate_standing.h"

namespace moecollab::pipeline {

// What a gate file and a pool come to together. A value: the experts are the pool's, all else is
// its own.
struct RoutedGate {
  gate::Gate gate;                           // [E] rows: those whose experts are ready
  std::vector<GateRow> rows;                 // [E] as the file has them
  std::vector<InstalledExpert*> experts;     // [E]
  std::vector<fusion::ExpertLabels> labels;  // [E], at the temperatures of the rows
  // Rows whose experts are not ready, or cannot stand in for those that they were fitted for; the
  // softmax renormalises.
  std::vector<std::string> dropped;
  // Experts that the gate was not fitted for: on probation with the row of the one that they
  // replaced, or among the dropped.
  struct Unfitted {
    std::string name;
    GateStanding standing;
  };
  std::vector<Unfitted> unfitted;
  std::vector<std::string> unrouted;  // experts that are ready, have no row and so take no part
};

// What becomes of a gate that was fitted in another precision than the pool computes in.
enum class OtherPrecision { kRefused, kPermitted };

// Changes neither. A changed expert never stops the others: one that answers as the one before did,
// in the same labels from the same inputs, has that one's row on probation (a note); any other has
// none (gate_standing.h). Dropped rows and unrouted experts are warned about, but for those that
// `growing` names, which are about to get a row. Throws E_GATE for another encoder than the gate's,
// another precision unless it is permitted and measured with these very experts, a required expert
// without its row, labels that a space got since logarithms of its experts were pooled, or if no
// expert of the gate is ready.
RoutedGate open_gate(const GateFile& file, Pool& pool, std::span<const std::string> growing = {},
                     OtherPrecision other = OtherPrecision::kRefused);

// Throws E_GATE naming the first expert that the gate was not fitted for.
void require_fitted(const RoutedGate& routed);

}  // namespace moecollab::pipeline
