// What a process gives up that tries a stranger's library in many ways, as `experts add` does: less
// than an expert's own process (sandbox.h), which only answers calls.
#pragma once

#include "worker/sandbox.h"

namespace moecollab::worker {

// From now on neither this process nor one that it starts writes or changes a file by its path,
// reaches a network, takes more than 6 GiB of memory of its own, makes what other processes can
// see, or traces or signals anything but itself. Files can be read, and processes started. kFull:
// that; kCalls: but for files that are written, since the kernel has no Landlock; kNone: it has no
// filter of system calls.
SandboxLevel confine();

// And starts no process or program. False without a filter.
bool forbid_processes();

// What confine() comes to here, found out in a process that ends.
SandboxLevel confinement_level();

}  // namespace moecollab::worker
