// Starts expert processes from one thread that lasts as long as this process.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/files.h"

namespace moecollab::worker {

// Starts the program with these arguments, an empty environment but for how threads wait
// (thread_waiting()), and the descriptors as its 0, 1, …; nothing else is open there.
// The kernel ends it when the thread that started it ends, so that thread is one that never does.
// Gives its process number; throws E_IPC if it cannot be started. Thread-safe.
pid_t launch(const fs::path& program, const std::vector<std::string>& arguments,
             const std::vector<int>& descriptors);

}  // namespace moecollab::worker
