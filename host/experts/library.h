// An expert library: its verified bytes, and the library in this process, never unloaded.
#pragma once

#include <moecollab/abi.h>

#include <string>
#include <string_view>

#include "experts/scanner.h"

namespace moecollab::experts {

// A library's file that was scanned, in an anonymous file that nobody can change any more, so that
// what runs is what was hashed whatever happens to the file. Nothing of it has run.
class SealedLibrary {
 public:
  // `states_libtorch`: whether the manifest says which LibTorch it was built with. `file` is named
  // in refusals: those of scan_library, require_abi and require_plain, E_ABI_LIBTORCH if it needs
  // LibTorch and that is not stated, E_PLUG_IO if the copy could not be made.
  SealedLibrary(std::string_view bytes, const std::string& file, bool states_libtorch);
  // One that another process sealed; takes the descriptor. Throws alike.
  SealedLibrary(int descriptor, const std::string& file);
  SealedLibrary(SealedLibrary&& other) noexcept;
  SealedLibrary& operator=(SealedLibrary&&) = delete;
  ~SealedLibrary();

  const std::string& file() const { return file_; }
  int descriptor() const { return descriptor_; }
  // What its note says.
  const LibraryNote& note() const { return note_; }
  // The first of LibTorch's libraries that it needs; empty if it needs none.
  const std::string& torch() const { return torch_; }
  // Throws E_ABI_LIBTORCH if it needs LibTorch.
  void require_stated() const;

 private:
  void scan(std::string_view bytes);

  std::string file_;
  int descriptor_ = -1;
  LibraryNote note_;
  std::string torch_;
};

// An object is immutable, lives as long as the process, and may be used by several threads at once;
// what the library's own functions allow, abi.h says with each of them.
class Library {
 public:
  // Loads `bytes`, whose SHA-256 is `sha256` (the caller compared it with the manifest), as
  // SealedLibrary and open() do. Equal digests share one library. A library that was refused is
  // tried again by the next call. Thread-safe.
  static const Library& load(std::string_view bytes, const std::string& sha256,
                             const std::string& file, bool states_libtorch);
  // Loads the sealed bytes. Throws E_ELF_SYM with the loader's text or without the entry, E_ABI for
  // a table that lacks a function, E_DESC_MISMATCH if describe() and the note differ.
  explicit Library(SealedLibrary sealed);

  // What the file's note says.
  const LibraryNote& note() const { return sealed_.note(); }
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
  // Its descriptor is never closed: the loader knows libraries by path, and a reused
  // /proc/self/fd/N would silently give the library that had the number before.
  const SealedLibrary sealed_;
  const moec_library* (*entry_)();
  const moec_library* table_;
  const moec_library_info* info_;
};

// A copy; "" for a size of 0, whatever the pointer.
std::string to_string(moec_string text);

}  // namespace moecollab::experts
