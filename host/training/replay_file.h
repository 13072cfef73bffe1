// Rows of the old domains that `train-gate --keep-replay N` keeps, so that the gate can grow when
// their data is gone: registry/gate/replay.safetensors. No text is stored: features, labels, and
// the experts' logits.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/run_context.h"
#include "encoder/features.h"

namespace moecollab::training {

struct KeptReplay {
  std::string encoder_fingerprint;
  std::vector<encoder::PooledKey> features;                 // what z is made of
  std::vector<std::string> domains;                         // names
  std::vector<std::pair<std::string, std::string>> labels;  // label space and label
  std::vector<int64_t> domain_of, label_of;                 // [n] indices into these
  at::Tensor z;                                             // [n, D]
  // By package SHA-256 [n, C]; a row of NaN where the expert was not asked.
  std::map<std::string, at::Tensor> logits;

  int64_t rows() const { return static_cast<int64_t>(domain_of.size()); }
};

fs::path replay_path(const fs::path& registry);

// Replaces the file atomically; returns its SHA-256.
std::string write_replay(const fs::path& registry, const KeptReplay& replay);

// nullopt where there is no such file. Throws E_GATE naming the file for a damaged one: other bytes
// than `sha256`, tensors that contradict each other.
std::optional<KeptReplay> read_replay(const fs::path& registry, const std::string& sha256, Log log);

}  // namespace moecollab::training
