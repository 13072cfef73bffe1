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

// Both files, as one change: gate.toml, which holds the tensors' digest, counts, and until it is
// replaced the old tensors stay under their digest's name. The caller has the registry's lock.
// Throws E_WRITE.
void write_gate(const fs::path& registry, const GateFile& gate);

// A tensor file of the gate's folder that gate.toml names by its digest: what it holds stays under
// that digest's name until the next write_gate() is done.
void keep_until_written(const fs::path& file);
// The file with that digest: `file`, or what it was before a change of the gate that was cut short
// (said). Throws E_GATE if it is neither.
fs::path with_digest(const fs::path& file, const std::string& sha256, Log log);

// Throws E_GATE naming the file for a missing, damaged or contradictory gate, and E_ST_… for
// tensors that are no safetensors. Whether the gate fits the installed experts is open_gate()'s to
// say.
GateFile read_gate(const fs::path& registry, Log log);

}  // namespace moecollab::pipeline
