#include "worker/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace moecollab::worker {
namespace {

// A set of rules that handles these accesses and allows none of them.
struct Rules {
  uint64_t files, network, scopes;
};

// Numbers of accesses to files: execute, read a file, list a folder. The header of the system that
// builds may be older than the kernel that runs.
constexpr uint64_t kReading = (1U << 0) | (1U << 2) | (1U << 3);

}  // namespace

bool enter_landlock(LandlockAccess refused) {
  constexpr unsigned kVersion = 1;                   // LANDLOCK_CREATE_RULESET_VERSION
  constexpr int kAccesses[] = {13, 14, 15, 15, 16};  // of files, by version of the interface
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersion);
  if (version < 1) return false;
  const long known = version > 5 ? 5 : version;
  Rules rules{(uint64_t{1} << kAccesses[known - 1]) - 1, version >= 4 ? uint64_t{3} : 0,
              version >= 6 ? uint64_t{3} : 0};
  if (refused == LandlockAccess::kWriting) rules.files &= ~kReading;
  const size_t size = version >= 6 ? sizeof rules : version >= 4 ? 16 : 8;
  const long set = ::syscall(SYS_landlock_create_ruleset, &rules, size, 0);
  if (set < 0) return false;
  const bool entered = ::syscall(SYS_landlock_restrict_self, set, 0) == 0;
  ::close(static_cast<int>(set));
  return entered;
}

}  // namespace moecollab::worker
