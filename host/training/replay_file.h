// Rows of the old domains that `train-gate --keep-replay N` keeps, so that the gate can grow when
// their data is gone: registry/gate/replay.safetensors. No text is stored: features, labels, and
// the experts' logits.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/run_context.h"
#include "encoder/features.h"
#include "pipeline/pool.h"
#include "registry/layout.h"
#include "training/answered_texts.h"

namespace moecollab::training {

struct KeptReplay {
  std::string encoder_fingerprint;
  std::vector<encoder::PooledKey> features;                 // what z is made of
  std::vector<std::pair<std::string, std::string>> labels;  // label space and label
  std::vector<std::string> experts;                         // package SHA-256 of texts.logits[e]
  AnsweredTexts texts;  // targets are indices into `labels`; spaces are undefined
};

// Writes the file into `folder`, which is laid out as a registry; returns its SHA-256.
std::string write_replay(const fs::path& folder, const KeptReplay& replay);

// nullopt if there is no such file. Throws E_GATE naming the file for a damaged one: other bytes
// than `sha256`, tensors that contradict each other.
std::optional<KeptReplay> read_replay(const fs::path& registry, const std::string& sha256);

// The kept texts of domains that `covered` does not name, for these experts. Throws E_GATE for
// texts of another encoder or other features, or of labels that the pool's union does not hold.
AnsweredTexts kept_texts(const KeptReplay& kept, const pipeline::Pool& pool,
                         const std::vector<pipeline::InstalledExpert*>& experts,
                         const std::vector<encoder::PooledKey>& features,
                         const std::set<std::string>& covered);

// What a file keeps of these texts, at most `most` per domain, in their order.
KeptReplay to_replay(const AnsweredTexts& texts, const pipeline::Pool& pool,
                     const std::vector<pipeline::InstalledExpert*>& experts,
                     const std::vector<encoder::PooledKey>& features, int64_t most);

}  // namespace moecollab::training
