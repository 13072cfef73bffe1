// What a library file says about itself, read without running it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moecollab::experts {

// The ABI note (sdk note.h).
struct LibraryNote {
  uint32_t abi_major = 0, abi_minor = 0;
  uint32_t min_host_minor = 0;
  std::string sdk, id, version;
};

// Checks that `bytes` are a 64-bit little-endian x86-64 ELF shared object whose headers and
// segments all lie inside the file, and returns its note. `file` is named in refusals:
// E_ELF_FORMAT, E_ELF_CLASS, E_ELF_MACHINE, E_ELF_TYPE, E_ELF_BOUNDS; E_ABI_NOTE if the note is
// missing or malformed. Bounded by the file's size; never reads outside `bytes`.
LibraryNote scan_library(std::string_view bytes, const std::string& file);

// Throws E_ABI ("needs ABI X, host has Y") unless a library with this note can run in this host.
void require_abi(const LibraryNote& note, const std::string& file);

}  // namespace moecollab::experts
