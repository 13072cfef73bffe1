// What computing in a precision does to the answers of a gate that was fitted in another, as
// registry/precision/ keeps it, and which precision follows from that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/compute.h"
#include "base/files.h"
#include "base/json.h"

namespace moecollab::registry {

// All that the answers depend on beside text and precision, and what ran them. A record counts for
// an equal use only.
struct PrecisionUse {
  std::string encoder;               // fingerprint
  std::string gate;                  // SHA-256 of gate.toml, which holds the experts' digests
  std::vector<std::string> experts;  // of the gate, those that are enabled
  std::string fusion;
  int64_t top_k = 0;
  std::string cpu_class;  // the instructions that the encoder uses, as in "avx512_bf16"
  int64_t kernels = kKernelRevision;
  bool operator==(const PrecisionUse&) const = default;
};

// The same texts answered in both precisions.
struct PrecisionChange {
  std::string domain;  // empty: all
  std::string data;    // SHA-256 of the domain's file; empty: of all
  int64_t n = 0;
  double accuracy_against = 0, accuracy = 0;  // in the gate's own precision, and in the record's
  int64_t fixed = 0, broke = 0;               // wrong before and right now; the reverse
  double z = 0;                               // McNemar's, below 0: worse
  int64_t flips = 0;                          // answers that differ, right or wrong
};

struct PrecisionRecord {
  Precision precision = Precision::kFp32;
  Precision against = Precision::kFp32;  // that the gate was fitted in
  PrecisionUse use;
  std::string cpu_name, version;  // version: of the program
  int64_t threads = 0;
  std::vector<PrecisionChange> domains;
  PrecisionChange overall;
  // Speed of the encoder alone, nothing cached, both measured by the same run.
  double texts_per_second_against = 0, texts_per_second = 0;
  std::vector<std::string> reasons;  // why it does not pass; empty: it passes

  bool passes() const { return reasons.empty(); }
  double speedup() const { return texts_per_second / texts_per_second_against; }
};

Json to_json(const PrecisionRecord& record);

// nullopt if there is none. Throws E_REG_IO, E_REG_SYNTAX or E_REG_SCHEMA naming the file.
std::optional<PrecisionRecord> read_precision_record(const fs::path& registry, Precision precision,
                                                     const std::string& cpu_class);

// Why the record does not allow its precision for that use; empty if it does.
std::string objection(const PrecisionRecord& record, const PrecisionUse& use);

// What `--precision auto` comes to, and why, for people.
struct PrecisionChoice {
  Precision precision;
  std::string why;
};
// The precision whose record allows it and says that it is the fastest, by its ratio to `fitted`;
// else `fitted`.
PrecisionChoice choose_precision(const std::vector<PrecisionRecord>& records,
                                 const PrecisionUse& use, Precision fitted);

}  // namespace moecollab::registry
