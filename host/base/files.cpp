#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

// An open file descriptor, closed at destruction.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

[[noreturn]] void fail_read(const fs::path& path, const std::string& code, const char* reason) {
  throw Error(code, fmt::format("{} cannot be read: {}", shown(path), reason));
}

[[noreturn]] void fail_write(
    const fs::path& path, const char* reason,
    const char* hint = "name a folder that exists and that you may write to") {
  throw Error("E_WRITE", fmt::format("{} cannot be written: {}", shown(path), reason), hint);
}

[[noreturn]] void fail_write(const fs::path& path, int error) {
  if (error != ENOSPC && error != EDQUOT) fail_write(path, std::strerror(error));
  fail_write(path, std::strerror(error),
             "what was there is as it was; free some space, then try again");
}

// The name of a link that leads nowhere is there for all to see: what does not exist is its target.
[[noreturn]] void fail_open(const fs::path& path, const std::string& code, int error) {
  std::error_code none;
  const fs::path target = fs::read_symlink(path, none);
  if (error != ENOENT || none) fail_read(path, code, std::strerror(error));
  fail_read(path, code,
            fmt::format("it is a link to {}, which does not exist", shown(target)).c_str());
}

// Opens without blocking on a FIFO, and accepts regular files only.
int open_regular(const fs::path& path, const std::string& code, struct stat& info) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail_open(path, code, errno);
  if (::fstat(file.get(), &info) != 0) fail_read(path, code, std::strerror(errno));
  if (S_ISDIR(info.st_mode)) fail_read(path, code, "it is a folder");
  if (!S_ISREG(info.st_mode)) fail_read(path, code, "it is not a regular file");
  return file.release();
}

ssize_t read_some(int fd, char* into, size_t size) {
  ssize_t n;
  do {
    n = ::read(fd, into, size);
  } while (n < 0 && errno == EINTR);
  return n;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// A file that is being written beside `path`: without a name if that can be, else of a temporary
// one.
struct Unpublished {
  Descriptor file;
  std::string name;  // or empty
};

Unpublished open_beside(const fs::path& path) {
  constexpr const char* kOpenFiles = "/proc/self/fd";  // through which publish() names the file
  if (::access(kOpenFiles, X_OK) == 0) {
    const int fd = ::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) return {Descriptor(fd), ""};
  }
  std::string name = path.string() + ".XXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) fail_write(path, errno);
  return {Descriptor(fd), std::move(name)};
}

// Renames the file to `path`; false with errno if that fails. A link cannot replace a file, so a
// file without a name gets a temporary one for that moment.
bool publish(Unpublished& file, const fs::path& path) {
  static std::atomic<unsigned> count;
  const std::string open_file = fmt::format("/proc/self/fd/{}", file.file.get());
  while (file.name.empty()) {
    const std::string name = fmt::format("{}.{}-{}", path.string(), ::getpid(), ++count);
    if (::linkat(AT_FDCWD, open_file.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      file.name = name;
    } else if (errno != EEXIST) {
      return false;
    }
  }
  return ::rename(file.name.c_str(), path.c_str()) == 0;
}

// A rename would put a file in the place of whatever stands there, of /dev/null too.
void refuse_other_than_file(const fs::path& path) {
  if (path == "-") fail_write(path, "it names standard output", "name a file (./- is one, too)");
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) return;
  if (S_ISDIR(info.st_mode)) fail_write(path, "it is a folder");
  if (S_ISLNK(info.st_mode)) fail_write(path, "it is a symbolic link");
  if (!S_ISREG(info.st_mode)) fail_write(path, "it is a device, a pipe or a socket, not a file");
}

fs::path system_temporary_folder() {
  std::error_code error;
  fs::path folder = fs::temp_directory_path(error);
  if (!error) return folder;
  throw Error("E_WRITE",
              fmt::format("the folder for temporary files cannot be used: {}", error.message()),
              "set TMPDIR to a folder that exists and that you may write to");
}

std::string make_temporary(const fs::path& pattern) {
  std::string name = pattern.string();
  if (::mkdtemp(name.data()) == nullptr) fail_write(pattern, errno);
  return name;
}

}  // namespace

std::string shown(const fs::path& path) { return escaped(path.string()); }

std::string read_file(const fs::path& path, const std::string& code, uint64_t limit) {
  struct stat info;
  const Descriptor file(open_regular(path, code, info));
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > limit) {
    throw Error(code,
                fmt::format("{} has {} bytes, more than the {} allowed", shown(path), size, limit));
  }
  std::string bytes(size, '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t n = read_some(file.get(), bytes.data() + have, bytes.size() - have);
    if (n < 0) fail_read(path, code, std::strerror(errno));
    if (n == 0) fail_read(path, code, "it became shorter while it was read");
    have += static_cast<size_t>(n);
  }
  return bytes;
}

void for_each_chunk(const fs::path& path, const std::string& code,
                    const std::function<void(std::string_view)>& use) {
  struct stat info;
  const Descriptor file(open_regular(path, code, info));
  std::vector<char> buffer(size_t{1} << 20);
  while (true) {
    const ssize_t n = read_some(file.get(), buffer.data(), buffer.size());
    if (n < 0) fail_read(path, code, std::strerror(errno));
    if (n == 0) return;
    use({buffer.data(), static_cast<size_t>(n)});
  }
}

void write_file_atomic(const fs::path& path, std::span<const std::string_view> parts) {
  refuse_other_than_file(path);
  Unpublished file = open_beside(path);
  const int fd = file.file.get();
  bool good = true;
  for (const std::string_view part : parts) good = good && write_all(fd, part);
  // fsync reports delayed write errors too, so nothing is left for close() to say.
  good = good && ::fchmod(fd, 0644) == 0 && ::fsync(fd) == 0 && publish(file, path);
  if (!good) {
    const int reason = errno;
    if (!file.name.empty()) ::unlink(file.name.c_str());
    fail_write(path, reason);
  }
  const Descriptor folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems know no such thing of folders.
  if (folder.get() >= 0 && ::fsync(folder.get()) != 0 && errno != EINVAL) fail_write(path, errno);
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  write_file_atomic(path, std::array{bytes});
}

void append_line(const fs::path& path, std::string_view line) {
  const Descriptor file(
      ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644));
  if (file.get() < 0) fail_write(path, std::strerror(errno));
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  char last = '\n';
  const bool is_cut = size > 0 && ::pread(file.get(), &last, 1, size - 1) == 1 && last != '\n';
  const std::string bytes = (is_cut ? "\n" : "") + std::string(line) + "\n";
  if (!write_all(file.get(), bytes)) fail_write(path, std::strerror(errno));
}

void require_writable(const fs::path& path) {
  refuse_other_than_file(path);
  const Unpublished file = open_beside(path);
  if (!file.name.empty()) ::unlink(file.name.c_str());
}

void require_writable_folder(const fs::path& folder) {
  fs::path nearest = folder;
  std::error_code error;
  while (fs::status(nearest, error).type() == fs::file_type::not_found &&
         nearest != folder_of(nearest))
    nearest = folder_of(nearest);
  if (!fs::is_directory(nearest, error)) fail_write(nearest, "it is not a folder");
  const Unpublished file = open_beside(nearest / "new");
  if (!file.name.empty()) ::unlink(file.name.c_str());
}

void require_space(const fs::path& folder, uint64_t bytes, const std::string& what) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= bytes) return;  // a file system that does not say is tried
  throw Error("E_WRITE",
              fmt::format("{} needs {} bytes in {}, where {} are free", what, bytes, shown(folder),
                          space.available),
              "free some space, or name a folder on another disk");
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return;
  throw Error("E_WRITE",
              fmt::format("{} cannot be made: {}", escaped(folder.string()), error.message()),
              "name a folder in one that is there and may be written to");
}

void sync_folder(const fs::path& folder) {
  const auto sync = [](const fs::path& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0 || ::fsync(file.get()) != 0) fail_write(path, errno);
  };
  for (const auto& entry : fs::recursive_directory_iterator(folder)) sync(entry.path());
  sync(folder);
}

TemporaryFolder::TemporaryFolder(std::string_view prefix)
    : TemporaryFolder(system_temporary_folder(), prefix) {}

TemporaryFolder::TemporaryFolder(const fs::path& parent, std::string_view prefix)
    : path_(make_temporary(parent / fmt::format("{}.XXXXXX", prefix))) {}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace moecollab
