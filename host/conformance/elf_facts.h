// What a shared object exports, needs and asks of the loader, read without running it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moecollab::conformance {

struct ElfFacts {
  std::vector<std::string> exports;    // defined dynamic symbols that others can bind to
  std::vector<std::string> unique;     // of these, STB_GNU_UNIQUE: they pin the library for ever
  std::vector<std::string> undefined;  // without the weak ones
  std::vector<std::string> needed;     // DT_NEEDED
  std::string run_path;                // DT_RPATH or DT_RUNPATH
  bool text_relocations = false;
  bool executable_stack = false;
  std::vector<std::string> versions;  // "GLIBC_2.34", "GLIBCXX_3.4.30", …
};

// Reads a file that experts::scan_library() accepted. Throws E_ELF_BOUNDS for tables that lie
// outside the file. Never reads outside `bytes`.
ElfFacts read_elf(std::string_view bytes, const std::string& file);

// The greatest "PREFIX_a.b.c" of the versions as its numbers, or empty.
std::vector<int> greatest_version(const std::vector<std::string>& versions,
                                  std::string_view prefix);

}  // namespace moecollab::conformance
