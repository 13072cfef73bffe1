// A registry as it was, to be put back if what changes it cannot be finished or does not help.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/run_context.h"
#include "registry/history.h"

namespace moecollab::contribution {

// Copies of the gate's files, the lock and the experts' histories in a folder that is laid out as a
// registry, and a list of the experts' versions. Caches and answers on held-out texts, which are
// named by digests, stay as they are. The folder outlives the object and the process.
class RegistrySnapshot {
 public:
  // Takes one of the registry as it is now, in place of what is in the folder. Throws E_WRITE.
  static RegistrySnapshot take(const fs::path& registry, const fs::path& folder, Log log);
  // Reads one that was taken, and which experts were changed since. Throws E_CKPT if it is not
  // whole.
  static RegistrySnapshot open(const fs::path& registry, const fs::path& folder, Log log);

  // To be called before anything of this expert is changed.
  void will_change(const std::string& expert);

  // Puts it back: gate and lock, and of the experts that were changed the history and the versions;
  // then none counts as changed. A version that cannot be removed is warned about. Throws E_REG_IO
  // and E_WRITE.
  void restore(const registry::ChangeNote& note);

  const fs::path& folder() const { return folder_; }
  const std::set<std::string>& changed() const { return changed_; }
  // Versions of the expert that are there now and were not then.
  std::vector<fs::path> newer_versions(const std::string& expert) const;

 private:
  RegistrySnapshot(fs::path registry, fs::path folder, Log log);
  void keep(const fs::path& file) const;
  void remove_newer_versions(const std::string& expert) const;
  void write_changed() const;

  fs::path registry_, folder_;
  Log log_;
  std::set<std::string> versions_;  // "news/1.0.0"
  std::set<std::string> changed_;
};

}  // namespace moecollab::contribution
