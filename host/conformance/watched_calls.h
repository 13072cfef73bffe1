// What a library asks of the system beyond its own memory: files, connections, programs.
#pragma once

#include <string>
#include <vector>

namespace moecollab::conformance {

// From its making on, for the rest of the process, system calls that write or delete files, open
// files that are not the system's, make sockets or shared memory, or start programs are noted.
// Those that would change something are refused (EROFS, EACCES), so that trying a package loses
// nothing. Files of the system are those below /proc, /sys, /usr, /lib, /etc and /dev, and shared
// libraries. By a filter of seccomp(2) whose trap repeats the call in place.
class WatchedCalls {
 public:
  // Throws E_INTERNAL if the kernel gives no filter.
  WatchedCalls();
  // Whether this program can: on Linux for x86-64.
  static bool possible();
  // Each call once, in the order of their coming: "open of /home/me/words.txt for reading".
  std::vector<std::string> seen() const;
};

}  // namespace moecollab::conformance
