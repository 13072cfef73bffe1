// registry.toml: the operator's file. Read here, edited in registry_edit.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "registry/layout.h"
#include "registry/semver.h"

namespace moecollab::registry {

inline constexpr size_t kMaxRegistry = size_t{64} << 10;  // bytes

struct EncoderEntry {
  std::string path;  // folder as written; empty = no encoder stated
  // Tokens, [CLS] and [SEP] included; none: 256, or the encoder's positions if these are fewer.
  std::optional<int64_t> max_length;
  std::string special_tokens = "split";  // split | literal: "[SEP]" in a text is the token, or text
  std::string fingerprint;               // 64 hexadecimal digits; empty = not recorded
  bool operator==(const EncoderEntry&) const = default;
};

// An operator's own label space; others come with the manifests.
struct LabelSpace {
  std::string name;  // "emotion/1"
  std::vector<std::string> labels;
  bool operator==(const LabelSpace&) const = default;
};

struct Policy {
  std::string on_missing = "fail";      // fail | skip
  std::string nan = "fail";             // fail | mask | quarantine
  int64_t conformance = 3;              // the level that a package must reach to be added; 0: none
  std::string admission = "with-data";  // with-data | always | never
  std::optional<double> probation_weight_cap;  // in (0, 1]: of experts on probation
  bool require_signature = false;              // packages that were trained here need none
  std::string isolation = "auto";              // auto | process
  std::string on_expert_failure = "stop";      // stop | drop
  int64_t call_deadline_ms = 30'000;           // of an expert's own process, beside 0.5 per token
  int64_t expert_memory_mb = 4096;             // MiB that it may take
  bool operator==(const Policy&) const = default;
};

struct ExpertEntry {
  std::string name;  // also the folder experts/<name>/
  std::string id;    // that the package must have
  VersionRange version;
  std::optional<Version> pin;  // of these, the one that is taken whatever else is installed
  bool enabled = true;
  bool required = false;             // overrides on_missing = "skip"
  std::optional<double> weight_cap;  // in (0, 1]: the most that the gate may give it
  Json config = Json::object();      // free, over the manifest's
  bool operator==(const ExpertEntry&) const = default;
};

// How the gate is read, if that is not as it was fitted.
struct GateEntry {
  std::optional<std::string> fusion;  // paper | masked | mixture | logit-union
  std::optional<int64_t> top_k;       // experts run for a text, at least 1
  bool operator==(const GateEntry&) const = default;
};

// Whose signatures count.
struct TrustEntry {
  std::string publisher;           // for people
  std::string key;                 // minisign public key, one line of base64
  std::vector<std::string> scope;  // ids that it may sign, `*` for any characters; empty: all
  std::string expires;             // its last day, "2027-12-31", UTC; empty: it does not expire
  bool operator==(const TrustEntry&) const = default;
};

// What counts no more, whatever else registry.toml says.
struct RevokedEntry {
  std::vector<std::string> keys;      // minisign public keys
  std::vector<std::string> packages;  // SHA-256 of their expert.toml
  bool operator==(const RevokedEntry&) const = default;
};

// How the files of one domain are read; docs/data.md.
struct DomainData {
  std::string format = "auto";            // auto | jsonl | json | csv | tsv
  std::string quoting = "auto";           // auto | csv | none
  std::string text_column, label_column;  // empty: by the names in use
  std::vector<std::string> columns, join, label_names;
  int64_t label_base = 0;
  bool operator==(const DomainData&) const = default;
};

struct RegistryFile {
  EncoderEntry encoder;
  std::map<std::string, std::string> domains;  // domain -> label space
  std::map<std::string, DomainData> data;      // by domain
  std::vector<LabelSpace> label_spaces;
  Policy policy;
  std::vector<ExpertEntry> experts;  // in the order of the file
  GateEntry gate;
  std::vector<TrustEntry> trust;
  RevokedEntry revoked;
  bool operator==(const RegistryFile&) const = default;
};

// What a refusal of a registry that is missing or empty ends with.
inline constexpr const char* kHowToNameOne =
    "name a registry with --registry or MOECOLLAB_REGISTRY; `make demo` in the source tree makes "
    "one in build/demo/registry";

// Reads `bytes` strictly; `file` is named in refusals. E_REG_SIZE, _BYTES, _SYNTAX, _SCHEMA. A file
// without a single key is a registry of 0 experts. Keys that this version knows of and does not act
// on (an expert's device) are refused, never passed over.
RegistryFile parse_registry(std::string_view bytes, const std::string& file);

// registry.toml of a registry folder. Throws E_REG_IO naming path and errno if the folder or the
// file is missing, of another kind, or unreadable.
RegistryFile read_registry(const fs::path& folder);

// registry.toml of the folder; if it is a symbolic link, the file that it leads to, to be replaced
// in its own place. Throws E_REG_IO for a link that leads nowhere.
fs::path registry_path(const fs::path& folder);

// The same file's bytes, at most kMaxRegistry; throws as read_registry, E_REG_SIZE above that.
std::string registry_text(const fs::path& folder);

}  // namespace moecollab::registry
