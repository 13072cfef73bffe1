// A registry as it was, to be put back if what changes it cannot be finished or does not help.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/run_context.h"

namespace moecollab::contribution {

// Copies the gate's files, the lock and the experts' histories, and notes which versions of experts
// there are. Caches and answers on held-out texts, which are named by digests, stay as they are.
class RegistrySnapshot {
 public:
  RegistrySnapshot(const fs::path& registry, Log log);

  // To be called before anything of this expert is changed.
  void will_change(const std::string& expert) { changed_.insert(expert); }

  // Puts it back: gate and lock, and of the experts that were changed the history and the versions.
  // A version that cannot be removed is warned about. Throws E_REG_IO and E_WRITE.
  void restore() const;

 private:
  void keep(const fs::path& file) const;
  void put_back(const fs::path& file) const;
  void remove_newer_versions(const std::string& expert) const;

  fs::path registry_;
  Log log_;
  TemporaryFolder copy_;
  std::set<fs::path> versions_;
  std::set<std::string> changed_;
};

}  // namespace moecollab::contribution
