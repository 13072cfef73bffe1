// The fitted gate on disk: gate/gate.toml and gate/gate.safetensors of a registry.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "fusion/fusion.h"
#include "gate/gate.h"
#include "gate/objective.h"
#include "pipeline/pool.h"
#include "registry/layout.h"

namespace moecollab::pipeline {

// The way on from a gate that cannot be used.
inline constexpr const char* kRefit = "fit it again with `moecollab train-gate`";
// And from one whose files are damaged.
inline constexpr const char* kPutBackOrRefit =
    "`moecollab experts lock` puts back what the history has of it; else fit it again with "
    "`moecollab train-gate`";

// A row of the gate: which package it was fitted for.
struct GateRow {
  std::string name, id, version, sha256;  // of the package
  double temperature = 1.0;
  // Whether its logits on the held-out texts came from the model that did not train on them.
  bool heldout_known = true;
  // In a gate of two factors: its label space, and how that pools opinions.
  std::string space = {};
  fusion::OpinionPool pool = fusion::OpinionPool::kLinear;
};

// What both files hold, as a value. E rows, one for each row of `gate` and in the same order.
struct GateFile {
  std::string sha256;  // of gate.toml as it was read; empty if it was not
  gate::Gate gate;
  std::vector<GateRow> rows;
  std::string encoder_fingerprint;
  Precision precision = Precision::kFp32;  // of the features that it was fitted on
  DeviceType device = DeviceType::kCpu;    // that computed these
  fusion::Mode fusion = fusion::Mode::kMixture;
  int64_t top_k = 0;  // experts asked per text; 0: all
  // Whether the fit was asked for gate.layer(); else it took the encoder's last, or certain layers.
  bool layer_was_chosen = false;
  gate::ObjectiveOptions objective;
  std::vector<double> prior;  // π of the balance term, a share for each row; empty: uniform
  uint64_t seed = 0;
  std::map<std::string, std::string> data;  // domain -> SHA-256 of its training file
  Json metrics = Json::object();            // of the fit, on held-out training texts
  Json fit = Json::object();                // its further settings; empty in older files
};

// Takes a row out, and what the metrics have of its expert: the softmax renormalises. Throws E_GATE
// for the only row.
void remove_row(GateFile& file, size_t row);

// Both files into `folder`, which is laid out as a registry: that of a change (registry/change.h),
// which makes them the registry's at once. Throws E_WRITE.
void write_gate(const fs::path& folder, const GateFile& gate);

// Where a tensor file of this digest is, which gate.toml names: the gate's folder, or, while the
// gate is being changed, the history. Throws E_GATE if it is at neither place, or damaged.
fs::path tensor_file(const fs::path& registry, const fs::path& file, const std::string& sha256);

// Throws E_GATE naming the file for a missing, damaged or contradictory gate, and E_ST_… for
// tensors that are no safetensors. Whether the gate fits the installed experts is open_gate()'s to
// say.
GateFile read_gate(const fs::path& registry);
// The gate of the state that the pool was opened with.
GateFile read_gate(const Pool& pool);

}  // namespace moecollab::pipeline
