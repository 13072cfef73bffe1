// A file's bytes in memory, owned or mapped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace moecollab::weights {

// Files up to this size are read into owned memory, larger ones are mapped.
inline constexpr uint64_t kLargestOwned = uint64_t{16} << 20;

// Immutable bytes at a fixed address: neither copyable nor movable.
//
// A mapped file must not be truncated while the object lives (the process would get SIGBUS), so
// files that another process may still write are not for this class.
class FileBytes {
 public:
  explicit FileBytes(std::string bytes) : owned_(std::move(bytes)) {}
  // Throws E_ST_IO naming path and reason, also for a file that changes while it is mapped.
  explicit FileBytes(const std::filesystem::path& path);
  ~FileBytes();
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  std::string_view view() const {
    return mapped_ == nullptr ? std::string_view(owned_)
                              : std::string_view(static_cast<const char*>(mapped_), mapped_size_);
  }

 private:
  void map(const std::filesystem::path& path);

  std::string owned_;
  void* mapped_ = nullptr;
  size_t mapped_size_ = 0;
};

}  // namespace moecollab::weights
