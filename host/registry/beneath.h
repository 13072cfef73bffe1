// Files of a package: opened without leaving its folder and without touching what is no file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/files.h"

namespace moecollab::registry {

// Throws E_PLUG_PATH unless `path` is relative, in normal form and goes down only: no empty, "." or
// ".." component, no control character, at most 255 bytes.
void check_relative(std::string_view path);

// A regular file inside a folder, open for reading. What was checked is what is read: the
// descriptor stays the same file, whatever becomes of the name. Movable only; not thread-safe.
class PackageFile {
 public:
  // Opens `folder`/`relative` component by component, following no symbolic link below `folder`.
  // Throws E_PLUG_PATH for a bad path, a missing file, a link, a folder, or anything that is no
  // regular file (a FIFO or device is looked at, never opened); E_REG_IO for another errno.
  PackageFile(const fs::path& folder, const std::string& relative);
  ~PackageFile();
  PackageFile(PackageFile&& other) noexcept;
  PackageFile(const PackageFile&) = delete;
  PackageFile& operator=(const PackageFile&) = delete;

  int descriptor() const { return fd_; }   // read-only, owned by this object
  uint64_t size() const { return size_; }  // bytes, when it was opened

  // All bytes. Throws E_REG_SIZE above `limit`, E_REG_IO naming path and errno.
  std::string read(uint64_t limit) const;
  // SHA-256 of all bytes, 64 lowercase hexadecimal digits. Throws E_REG_IO.
  std::string sha256_hex() const;

 private:
  template <typename Use>
  void for_each_chunk(const Use& use) const;

  fs::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace moecollab::registry
