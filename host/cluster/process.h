// Processes of ranks: who one is, and whether one on the same machine still runs.
#pragma once

#include <string>

#include "base/json.h"

namespace moecollab::cluster {

struct Process {
  std::string host;     // its name, for people
  int64_t pid = 0;      // there
  std::string machine;  // equal for processes that see each other's numbers

  // Throws E_DIST for what no rank writes.
  static Process parse(const std::string& bytes);
  std::string to_bytes() const;
};

Process this_process();

// Knows at once when a process on this machine ends. Movable.
class ProcessWatch {
 public:
  ProcessWatch() = default;  // of nobody
  // Watches nobody if the process runs on another machine, or this kernel cannot watch it.
  explicit ProcessWatch(const Process& process);
  ~ProcessWatch();
  ProcessWatch(ProcessWatch&& other) noexcept;
  ProcessWatch& operator=(ProcessWatch&& other) noexcept;

  bool has_ended() const;

 private:
  int descriptor_ = -1;
};

}  // namespace moecollab::cluster
