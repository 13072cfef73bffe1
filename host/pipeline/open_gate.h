// A fitted gate over the experts of an opened registry.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pipeline/gate_file.h"

namespace moecollab::pipeline {

// What a gate file and a pool come to together. A value: the experts are the pool's, all else is
// its own.
struct RoutedGate {
  gate::Gate gate;                           // [E] rows: those whose experts are ready
  std::vector<GateRow> rows;                 // [E] as the file has them
  std::vector<InstalledExpert*> experts;     // [E]
  std::vector<fusion::ExpertLabels> labels;  // [E], at the temperatures of the rows
  std::vector<std::string> dropped;   // rows whose experts are not ready; the softmax renormalises
  std::vector<std::string> unrouted;  // experts that are ready, have no row and so take no part
};

// What becomes of a gate that was fitted in another precision than the pool computes in.
enum class OtherPrecision { kRefused, kPermitted };

// Changes neither. Dropped rows and unrouted experts are warned about, but for those that `growing`
// names, which are about to get a row. Throws E_GATE for another encoder than the gate's, an expert
// whose package is another than its row's, another precision unless it is permitted, or if no
// expert of the gate is ready.
RoutedGate open_gate(const GateFile& file, Pool& pool, std::span<const std::string> growing = {},
                     OtherPrecision other = OtherPrecision::kRefused);

}  // namespace moecollab::pipeline
