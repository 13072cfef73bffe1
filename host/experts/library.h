// An expert library in this process: loaded from verified bytes, never unloaded.
#pragma once

#include <moecollab/abi.h>

#include <string>
#include <string_view>

#include "experts/scanner.h"

namespace moecollab::experts {

// An object is immutable, lives as long as the process, and may be used by several threads at once;
// what the library's own functions allow, abi.h says with each of them.
class Library {
 public:
  // Loads `bytes`, whose SHA-256 is `sha256` (the caller compared it with the manifest). They are
  // scanned, copied into a sealed memfd and loaded from there, so that what runs is what was hashed
  // whatever happens to the file. Equal digests share one library. `states_libtorch`: whether the
  // manifest says which LibTorch it was built with. `file` is named in refusals: those of
  // scan_library and require_abi, E_ABI_LIBTORCH if it needs LibTorch and that is not stated,
  // E_ELF_SYM with the loader's text or without the entry,
  // E_ABI for a table that lacks a function, E_DESC_MISMATCH if describe() and the note differ,
  // E_PLUG_IO if the copy could not be made. A library that was refused is tried again by the next
  // call. Thread-safe.
  static const Library& load(std::string_view bytes, const std::string& sha256,
                             const std::string& file, bool states_libtorch);

  // What the file's note says.
  const LibraryNote& note() const { return note_; }
  // What moec_plugin_entry() gave; no function up to `destroy` is NULL.
  const moec_library& table() const { return *table_; }
  // moec_plugin_entry() itself.
  auto entry() const { return entry_; }
  // What describe() gave.
  const moec_library_info& info() const { return *info_; }
  // The library's extension, or nullptr.
  template <typename T>
  const T* extension(const char* id) const {
    return static_cast<const T*>(table_->get_extension(id));
  }

  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

 private:
  Library(std::string_view bytes, const std::string& file, bool states_libtorch);

  LibraryNote note_;
  std::string torch_;  // the first of LibTorch's libraries that it needs
  const moec_library* (*entry_)();
  const moec_library* table_;
  const moec_library_info* info_;
};

// A copy; "" for a size of 0, whatever the pointer.
std::string to_string(moec_string text);

}  // namespace moecollab::experts
