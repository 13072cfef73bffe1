#include "base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

[[noreturn]] void fail(const fs::path& file, int error) {
  throw Error("E_WRITE",
              fmt::format("{} cannot be locked: {}", escaped(file.string()), std::strerror(error)),
              "name a folder that exists and that you may write to");
}

// Whether the open file still has its name: whoever had the lock before may have renamed or removed
// it.
bool is_named(int fd, const fs::path& file) {
  struct stat open, named;
  return ::fstat(fd, &open) == 0 && ::lstat(file.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

int lock(int fd, int how) {
  while (::flock(fd, how) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// The file, open; locked unless `error` says why not.
int open_locked(const fs::path& file, int how, int& error) {
  while (true) {
    constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW;
    int fd = ::open(file.c_str(), O_RDWR | O_CREAT | kFlags, 0666);
    if (fd < 0 && errno == EACCES) fd = ::open(file.c_str(), O_RDONLY | kFlags);  // another user's
    if (fd < 0) fail(file, errno);
    error = lock(fd, how);
    if (error != 0 || is_named(fd, file)) return fd;
    ::close(fd);
  }
}

std::string owner(int fd) {
  std::array<char, 20> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  const std::string number(text.data(), n > 0 ? static_cast<size_t>(n) : 0);
  return number.substr(0, number.find_first_not_of("0123456789"));
}

}  // namespace

FileLock FileLock::wait(const fs::path& file, Log log) {
  int error = 0;
  FileLock lock(open_locked(file, LOCK_EX | LOCK_NB, error));
  if (error == EWOULDBLOCK) {
    log.note(fmt::format("waiting for another process to unlock {}", escaped(file.string())));
    ::close(std::exchange(lock.fd_, -1));
    lock.fd_ = open_locked(file, LOCK_EX, error);
  }
  if (error != 0) fail(file, error);
  return lock;
}

FileLock FileLock::claim(const fs::path& file, const std::string& hint) {
  int error = 0;
  FileLock lock(open_locked(file, LOCK_EX | LOCK_NB, error));
  if (error == EWOULDBLOCK) {
    throw Error("E_LOCK",
                fmt::format("{} is locked by another run, process {}", escaped(file.string()),
                            owner(lock.fd_)),
                hint);
  }
  if (error != 0) fail(file, error);
  const std::string number = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock.fd_, 0) != 0 ||
      ::pwrite(lock.fd_, number.data(), number.size(), 0) != static_cast<ssize_t>(number.size())) {
    fail(file, errno);
  }
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace moecollab
