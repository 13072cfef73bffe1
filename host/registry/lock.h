// registry.lock.toml: what the host resolved and found, written by the host alone.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/files.h"
#include "registry/layout.h"
#include "registry/semver.h"
#include "registry/state.h"

namespace moecollab::registry {

inline constexpr size_t kMaxLock = size_t{8} << 20;  // bytes

// For which (package, encoder, engine) the probe vectors passed; all empty = never run.
struct ProbeRecord {
  std::string package, encoder;  // SHA-256
  std::string engine;            // version of the numeric engine
  bool operator==(const ProbeRecord&) const = default;
};

struct LockEntry {
  std::string name, id;
  Version version;
  std::string manifest_sha256, library_sha256;
  State state = State::kFound;
  std::string code, reason;  // of a refusal, else empty
  ProbeRecord probe;
  bool operator==(const LockEntry&) const = default;
};

// A package whose process died, hung or talked nonsense, and what is known of that.
struct Quarantined {
  std::string sha256;   // of expert.toml
  std::string name;     // that it had then
  std::string code;     // E_IPC_DIED, …
  std::string phase;    // the call that it was in
  std::string cause;    // "died of SIGSEGV"
  std::string output;   // the last that it printed
  std::string time;     // UTC
  std::string program;  // version of the program that ran it
  bool operator==(const Quarantined&) const = default;
};

struct Lock {
  std::vector<LockEntry> entries;  // no name twice
  // Packages that were trained in this registry, by SHA-256 of expert.toml: they need no signature.
  std::set<std::string> made_here = {};
  // Libraries, by SHA-256, that came with the program when packages were trained with them here.
  std::set<std::string> own_libraries = {};
  // Packages whose probation `admit` ended, by SHA-256 of expert.toml.
  std::set<std::string> admitted = {};
  std::vector<Quarantined> quarantined = {};  // no package twice
  // The same without entries.
  Lock emptied() const;
  // nullptr if there is none; valid until `entries` changes.
  const LockEntry* find(const std::string& name) const;
};

// The folder's lock; empty if there is none. Throws E_REG_IO, _SIZE, _BYTES, _SYNTAX, _SCHEMA.
Lock read_lock(const fs::path& folder);

// The lock of a text; empty if there is none. `file` is named. Throws as read_lock(), but not _IO.
Lock parse_lock(const std::optional<std::string>& text, const std::string& file);

// Sorted by name: equal locks give equal bytes.
std::string lock_text(const Lock& lock);

// Replaces the folder's lock atomically. Throws E_WRITE.
void write_lock(const fs::path& folder, const Lock& lock);

}  // namespace moecollab::registry
