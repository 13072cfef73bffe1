// What an expert's process says of itself, read with distrust.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "worker/protocol.h"

namespace moecollab::worker {

inline constexpr uint64_t kMostParameters = 4096;
inline constexpr int64_t kMostElements = int64_t{1} << 30;  // of one tensor

template <size_t N>
std::string text_of(const char (&bytes)[N]) {
  return {bytes, ::strnlen(bytes, N)};
}

// What a message of `received` bytes is to the call that waits for the answer `sequence` (0: for
// the process's first word).
enum class Word { kNote, kAnswer, kNonsense };
Word word_of(const Reply& reply, size_t received, uint64_t sequence);

// Throws E_IPC: "its process says that …". `expert`: its name.
[[noreturn]] void nonsense(const std::string& expert, const std::string& what);

// Throws E_IPC for more tensors or layers than any expert has.
void require_bounded(const std::string& expert, const WireFacts& facts);

// Throws E_IPC for a shape that no tensor has.
std::vector<int64_t> shape_of(const std::string& expert, const WireParameter& parameter);

}  // namespace moecollab::worker
