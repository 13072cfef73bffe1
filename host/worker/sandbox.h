// What an expert's process gives up before any code of the expert runs.
#pragma once

#include <cstdint>
#include <string>

#include "worker/protocol.h"

namespace moecollab::worker {

// kCalls: a filter of system calls, through which files can still be opened for reading; the kernel
// has no Landlock. kFull: that, and no file can be opened.
enum class SandboxLevel : int32_t { kNone, kCalls, kFull };
const char* name(SandboxLevel level);

// Bytes of this process's memory that can be written; 0 if that is not known.
uint64_t writable_bytes();

// Takes from this process, for ever and for its threads too, by limits of memory (`memory` bytes
// beyond what it has now), descriptors and files, no new privileges, no file system, and only the
// system calls that computing needs: no process, no socket, no signal to others, nothing traced. A
// refused call fails with EPERM, and the first is noted in `header`; some that ask for nothing are
// refused without a note. Returns the level that the kernel grants.
SandboxLevel enter_sandbox(uint64_t memory, OutHeader& header);

// Once the library is loaded: from then on no thread opens anything, whatever the level, and an
// attempt is noted like the others. False if a thread of the library's stands against it.
bool close_sandbox(SandboxLevel level);

// "socket" of its number; "call 999" for one that is not known.
std::string system_call_name(int32_t number);

}  // namespace moecollab::worker
