#include "registry/beneath.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "registry/names.h"

namespace moecollab::registry {
namespace {

constexpr size_t kMaxPath = 255;
constexpr size_t kChunk = size_t{1} << 18;

[[noreturn]] void refuse(const fs::path& path, std::string_view why) {
  throw Error("E_PLUG_PATH", fmt::format("{}: {}", shown(path), why),
              "a package holds regular files below its own folder, and nothing else");
}

[[noreturn]] void fail_open(const fs::path& path, int reason) {
  if (reason == ENOENT) refuse(path, "missing, though the package lists it");
  if (reason == ENOTDIR || reason == ELOOP) {
    refuse(path, "a folder on the way to it is a symbolic link or no folder");
  }
  throw Error("E_REG_IO", fmt::format("{} cannot be read: {}", shown(path), std::strerror(reason)));
}

// A descriptor closed at destruction.
struct Descriptor {
  explicit Descriptor(int fd_in) : fd(fd_in) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void reset(int next) {
    ::close(fd);
    fd = next;
  }
  int fd;
};

// The file itself, not yet opened for reading: O_PATH wakes no FIFO and no device driver.
int locate(const fs::path& folder, const std::string& relative) {
  Descriptor at(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (at.fd < 0) {
    throw Error("E_REG_IO",
                fmt::format("{} cannot be read: {}", shown(folder), std::strerror(errno)));
  }
  const fs::path whole = folder / relative;
  std::string_view rest = relative;
  while (true) {
    const size_t slash = rest.find('/');
    const bool last = slash == std::string_view::npos;
    const std::string part(rest.substr(0, slash));
    const int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (last ? 0 : O_DIRECTORY);
    const int next = ::openat(at.fd, part.c_str(), flags);
    if (next < 0) fail_open(whole, errno);
    at.reset(next);
    if (last) return std::exchange(at.fd, -1);
    rest.remove_prefix(slash + 1);
  }
}

void require_regular(const struct stat& info, const fs::path& path) {
  if (S_ISREG(info.st_mode)) return;
  const char* kind = S_ISLNK(info.st_mode)    ? "a symbolic link"
                     : S_ISDIR(info.st_mode)  ? "a folder"
                     : S_ISFIFO(info.st_mode) ? "a FIFO"
                     : S_ISSOCK(info.st_mode) ? "a socket"
                                              : "a device";
  refuse(path, fmt::format("it is {}, not a regular file", kind));
}

}  // namespace

void check_relative(std::string_view path) {
  const auto refuse_path = [&](std::string_view why) { refuse(fs::path(path), why); };
  if (path.empty() || path.size() > kMaxPath) refuse_path("a path has 1 to 255 bytes");
  if (path.front() == '/') refuse_path("the path is absolute");
  if (has_control(path)) refuse_path("the path holds a control character");
  std::string_view rest = path;
  while (true) {
    const size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part == "..") refuse_path("the path leaves its folder");
    if (part.empty() || part == ".") refuse_path("the path has an empty or \".\" component");
    if (slash == std::string_view::npos) return;
    rest.remove_prefix(slash + 1);
  }
}

PackageFile::PackageFile(const fs::path& folder, const std::string& relative) {
  check_relative(relative);
  path_ = folder / relative;
  const Descriptor found(locate(folder, relative));
  struct stat info;
  if (::fstat(found.fd, &info) != 0) fail_open(path_, errno);
  require_regular(info, path_);
  size_ = static_cast<uint64_t>(info.st_size);
  // Through /proc the very file that was checked is opened, not its name once more.
  fd_ = ::open(fmt::format("/proc/self/fd/{}", found.fd).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) fail_open(path_, errno);
}

PackageFile::~PackageFile() {
  if (fd_ >= 0) ::close(fd_);
}

PackageFile::PackageFile(PackageFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

template <typename Use>
void PackageFile::for_each_chunk(const Use& use) const {
  std::vector<char> buffer(kChunk);
  off_t at = 0;
  while (true) {
    const ssize_t n = ::pread(fd_, buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_open(path_, errno);
    if (n == 0) return;
    use(std::string_view(buffer.data(), static_cast<size_t>(n)));
    at += n;
  }
}

std::string PackageFile::read(uint64_t limit) const {
  std::string bytes;
  const auto require_within = [&](uint64_t size) {
    if (size > limit) {
      throw Error("E_REG_SIZE",
                  fmt::format("{}: {} bytes, more than the {} allowed", shown(path_), size, limit));
    }
  };
  require_within(size_);
  for_each_chunk([&](std::string_view chunk) {
    require_within(bytes.size() + chunk.size());
    bytes += chunk;
  });
  return bytes;
}

std::string PackageFile::sha256_hex() const {
  Sha256 digest;
  for_each_chunk([&](std::string_view chunk) { digest.update(chunk); });
  return to_hex(digest.finish());
}

}  // namespace moecollab::registry
