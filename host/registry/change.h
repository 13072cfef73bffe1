// One change of a registry as one step.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/file_lock.h"
#include "base/files.h"
#include "base/run_context.h"
#include "registry/history.h"

namespace moecollab::registry {

// Whoever changes a registry has this lock from before it is read until it is written. Waits for
// another process, and says so. Throws E_WRITE.
FileLock lock_registry(const fs::path& folder, Log log);

// New contents are collected beside the registry and take effect together, when history/ names them
// as the newest change: whoever reads the state (registry_state.h) sees the old one or the new one,
// also if this process is killed at any point. What is not committed leaves no trace.
class Change {
 public:
  // `held`: the registry's lock, which outlives the object. Finishes first what a killed process
  // had decided, removes what it left, and puts back what is damaged (damaged_state.h). Throws
  // E_WRITE, E_REG_HISTORY.
  Change(fs::path folder, const FileLock& held, Log log);

  // A folder laid out as the registry. A state file that lies in it at commit() replaces the
  // registry's.
  const fs::path& staging() const { return staging_.path(); }
  void put(const std::string& file, std::string_view bytes);
  // The registry will not have this state file.
  void remove(const std::string& file);

  // Returns the change's number; 0, and nothing is written, if nothing differs. Throws E_REG_EDITED
  // if a state file was edited since the object was made, and E_WRITE if one cannot be replaced:
  // the registry is as before. A disk that fails after that leaves a decided change, which the next
  // one finishes.
  int64_t commit(const ChangeNote& note);

 private:
  StateDigests staged(StateDigests state) const;
  void keep_contents(const HistoryEntry& entry) const;
  void keep(const fs::path& file, const std::string& sha256) const;
  void carry_out(const HistoryEntry& entry) const;

  fs::path folder_;
  Log log_;
  TemporaryFolder staging_;
  StateDigests base_;  // what the new contents were made from
  std::set<std::string> removed_;
};

}  // namespace moecollab::registry
