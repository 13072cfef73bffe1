// What a shared object exports, needs and asks of the loader, read without running it.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab::experts {

struct ElfFacts {
  std::vector<std::string> exports;    // defined dynamic symbols that others can bind to
  std::vector<std::string> unique;     // of these, STB_GNU_UNIQUE: they pin the library for ever
  std::vector<std::string> undefined;  // without the weak ones
  std::vector<std::string> needed;     // DT_NEEDED
  std::string run_path;                // DT_RPATH or DT_RUNPATH
  std::string audit;                   // DT_AUDIT or DT_DEPAUDIT
  bool text_relocations = false;
  bool executable_stack = false;
  bool writable_code = false;         // a segment that is writable and executable
  std::vector<std::string> versions;  // "GLIBC_2.34", "GLIBCXX_3.4.30", …
};

// What a library of the plain tier may need, and one that uses LibTorch besides.
inline constexpr std::array kRuntimeLibraries = {
    "libc.so.6",       "libm.so.6",  "libstdc++.so.6", "libgcc_s.so.1",
    "libpthread.so.0", "libdl.so.2", "librt.so.1",     "ld-linux-x86-64.so.2"};
inline constexpr std::array kTorchLibraries = {"libtorch_cpu.so", "libc10.so", "libtorch.so",
                                               "libgomp.so.1"};

// Reads a file that scan_library() accepted. Throws E_ELF_BOUNDS for tables that lie
// outside the file. Never reads outside `bytes`.
ElfFacts read_elf(std::string_view bytes, const std::string& file);

// Throws E_ELF_POLICY naming what the loader would do for it before any check of ours: load other
// libraries than those above, search other folders, run an auditor, make its stack or its own code
// writable and executable.
void require_plain(const ElfFacts& facts, const std::string& file);

// The first of LibTorch's libraries that it needs; empty if it needs none.
std::string needed_of_torch(const ElfFacts& facts);

// The greatest "PREFIX_a.b.c" of the versions as its numbers, or empty.
std::vector<int> greatest_version(const std::vector<std::string>& versions,
                                  std::string_view prefix);

}  // namespace moecollab::experts
