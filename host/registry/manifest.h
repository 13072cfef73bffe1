// expert.toml, schema 1: what an expert says about itself before any of its code runs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "registry/semver.h"

namespace moecollab::registry {

inline constexpr const char* kManifestFile = "expert.toml";
inline constexpr const char* kSignatureFile = "expert.toml.minisig";
inline constexpr size_t kMaxManifest = size_t{64} << 10;  // bytes

// The shared code: one library may serve many experts.
struct LibraryTable {
  std::string id;  // reverse-DNS
  Version version;
  bool operator==(const LibraryTable&) const = default;
};

// The expert: library + manifest + weights. The texts after `version` are for people and may hold
// anything: escape them before they are shown.
struct ExpertTable {
  std::string id;    // reverse-DNS
  std::string name;  // [a-z0-9_-]{1,64}
  Version version;
  std::string vendor, license, url, description;
  bool operator==(const ExpertTable&) const = default;
};

struct AbiTable {
  int major = 0, minor = 0;  // the lowest that the plugin needs
  std::string sdk;           // release that it was built with, "0.9" or "0.9.1"; may be empty
  std::string platform;      // "linux-x86_64"
  std::string libtorch;      // "==2.15.*" for the torch tier, else empty
  bool operator==(const AbiTable&) const = default;
};

struct TaskTable {
  std::string domain;
  std::string label_space;  // "emotion/1"
  std::vector<std::string>
      labels;               // in the order of the logits; empty for a generative expert only
  std::string labels_file;  // where they were read from, or empty
  bool partial = false;     // the labels are a subset of the space's
  std::string language;
  bool operator==(const TaskTable&) const = default;
};

struct InputTable {
  std::vector<std::string> needs;  // of text, tokens, hidden, pooled; at least one
  std::vector<int64_t> layers;     // as given: 0 = embeddings, i = after block i, -1 = last block
  std::string pooling = "mean";    // cls | mean, of `pooled`
  std::string layout = "ragged";
  int64_t max_batch = 0;                          // rows; 0 = any
  std::vector<std::string> dtypes = {"float32"};  // of float32, bf16, f16
  std::string encoder_fingerprint;                // 64 hexadecimal digits; empty = "none"

  bool needs_encoder() const { return !encoder_fingerprint.empty(); }
  // The layers of an encoder of `total` blocks, each in [0, total]. Throws E_DESC_LAYERS.
  std::vector<int64_t> resolve_layers(int64_t total) const;
  bool operator==(const InputTable&) const = default;
};

struct OutputTable {
  std::string kind = "logits";  // logits | probabilities | generative
  double temperature = 1.0;     // > 0
  bool deterministic = true;
  bool operator==(const OutputTable&) const = default;
};

// How a kind is trained unless its user says otherwise: `train-expert`'s options of these names.
struct TrainingTable {
  std::optional<int64_t> epochs, batch, patience, folds;
  std::optional<double> lr, warmup, clip;
  std::optional<std::string> schedule;  // constant | linear
  std::optional<bool> bucket;
  // auto | fp32 | bf16: what its products in training may be computed in; none: fp32. A trained
  // package keeps "bf16" alone, which says that it computes in nothing else.
  std::optional<std::string> precision;
  bool operator==(const TrainingTable&) const = default;
};

// A figure that the author promises; re-run by `experts verify --claims`.
struct Claim {
  std::string dataset;  // SHA-256
  std::string split, metric;
  double value = 0.0, tolerance = 0.0;
  bool operator==(const Claim&) const = default;
};

struct Manifest {
  LibraryTable library;
  ExpertTable expert;
  AbiTable abi;
  TaskTable task;
  InputTable input;
  OutputTable output;
  TrainingTable training;                    // of a kind
  Json config = Json::object();              // free, handed to the plugin
  std::map<std::string, std::string> files;  // relative path -> SHA-256
  Json provenance = Json::object();          // free
  std::vector<Claim> claims;

  // A library that waits to be trained (`train-expert --kind`): its [task] is empty, and it names
  // no encoder yet. Not an expert: it cannot be added.
  bool is_kind() const { return task.domain.empty(); }
  bool operator==(const Manifest&) const = default;
};

// Reads `bytes` strictly; `file` is named in refusals. E_REG_SIZE, _BYTES, _SYNTAX, _SCHEMA, and
// E_PLUG_PATH for a path that leaves the package. If labels come in a file, `labels` stays
// empty: the caller reads it (read_manifest does).
Manifest parse_manifest(std::string_view bytes, const std::string& file);

// The manifest of the package folder, its labels_file read. Throws as parse_manifest, and E_REG_IO
// naming path and errno if the folder or expert.toml cannot be read.
Manifest read_manifest(const fs::path& package_folder);

// expert.toml for a manifest; parse_manifest gives the same back.
std::string to_toml_text(const Manifest& manifest);

}  // namespace moecollab::registry
