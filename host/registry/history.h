// history/: what changed a registry, when, by whom and why, and its state before and after.
//
// The state of a registry is a few small files. history/changes/NNNNNN.json names them by digest
// for each change, and history/objects/ holds each content once, so that any state can be put back
// bit for bit. Packages are no part of it: they never change, and stay until `experts gc`
// (those of a round of `train` that is undone go with it).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"

namespace moecollab::registry {

// The files of the state, relative to the registry's folder.
inline constexpr std::array kStateFiles = {"registry.toml",      "registry.lock.toml",
                                           "gate/gate.toml",     "gate/gate.safetensors",
                                           "gate/history.jsonl", "gate/replay.safetensors"};

// State file -> SHA-256; a file that is not there is not in it.
using StateDigests = std::map<std::string, std::string>;
// "" for one that is not there.
std::string digest_or_none(const StateDigests& state, const std::string& file);

// What a change is recorded with.
struct ChangeNote {
  std::string command;  // as typed
  std::string reason;   // the operator's; may be empty
  // It only records what was found (`experts verify`): `rollback` without a number passes over it.
  bool passive = false;
};

struct HistoryEntry {
  int64_t number = 0;  // from 1
  std::string time;    // UTC, "2026-11-29T18:30:00Z"
  std::string who;     // the user's name, or the number of one without a name
  ChangeNote note;
  StateDigests before, after;

  Json to_json() const;
};

// State files that differ, in the order of kStateFiles.
std::vector<std::string> changed_files(const StateDigests& before, const StateDigests& after);

// Where a state file lies; a registry.toml that is a link is followed.
fs::path state_path(const fs::path& registry, const std::string& file);

// The state as the files have it now. Throws E_REG_IO.
StateDigests present_state(const fs::path& registry);

// The number of the newest finished change; 0 if there is none.
int64_t newest_change(const fs::path& registry);

// The newest finished change; none if there is none. Throws E_REG_HISTORY.
std::optional<HistoryEntry> newest_entry(const fs::path& registry);

// Finished changes, oldest first. Throws E_REG_HISTORY for an entry that cannot be read.
std::vector<HistoryEntry> read_history(const fs::path& registry);

// The change that is decided and not yet carried out in all files: one is under way, or the process
// was killed. It counts already (registry_state.h). Throws E_REG_HISTORY.
std::optional<HistoryEntry> pending_change(const fs::path& registry);

fs::path change_file(const fs::path& registry, int64_t number);
fs::path pending_file(const fs::path& registry);
fs::path object_file(const fs::path& registry, const std::string& sha256);

// A content that the history keeps. Throws E_REG_HISTORY if it is missing or damaged.
std::string read_object(const fs::path& registry, const std::string& sha256);

// Reads an entry; `file` is named. Throws E_REG_HISTORY.
HistoryEntry parse_entry(const std::string& bytes, const std::string& file);

}  // namespace moecollab::registry
