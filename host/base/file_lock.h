// Locks between processes.
#pragma once

#include <string>

#include "base/files.h"
#include "base/run_context.h"

namespace moecollab {

// The lock of a file (flock), which is made if there is none. It ends with the process, however
// that ends, and never before the object does.
class FileLock {
 public:
  // Waits until no other process has it, and says so. Throws E_WRITE if the file cannot be
  // opened or locked.
  static FileLock wait(const fs::path& file, Log log);
  // The file then holds this process's number. Throws E_LOCK, with the number of the process that
  // has it and with this hint, and E_WRITE.
  static FileLock claim(const fs::path& file, const std::string& hint);

  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace moecollab
