#include "weights/file_bytes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"

namespace moecollab::weights {
namespace {

constexpr char kCode[] = "E_ST_IO";

struct Descriptor {
  explicit Descriptor(int number) : fd(number) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd;
};

[[noreturn]] void fail(const fs::path& path, const char* reason) {
  throw Error(kCode, fmt::format("{} cannot be read: {}", escaped(path.string()), reason));
}

struct stat info_of(const Descriptor& file, const fs::path& path) {
  struct stat info;
  if (::fstat(file.fd, &info) != 0) fail(path, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) fail(path, "it is not a regular file");
  return info;
}

bool same_contents(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

// Delegates so that the destructor unmaps what was mapped before a throw.
FileBytes::FileBytes(const fs::path& path) : FileBytes(std::string()) {
  std::error_code unknown;
  const uint64_t size = fs::file_size(path, unknown);
  // What has no size (missing, a folder, a pipe) is left to read_file, which names the reason.
  if (unknown || size <= kLargestOwned) {
    owned_ = read_file(path, kCode);
  } else {
    map(path);
  }
}

void FileBytes::map(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) fail(path, std::strerror(errno));
  const struct stat before = info_of(file, path);
  const auto size = static_cast<size_t>(before.st_size);
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (address == MAP_FAILED) fail(path, std::strerror(errno));
  mapped_ = address;
  mapped_size_ = size;
  if (!same_contents(before, info_of(file, path))) fail(path, "it changed while it was opened");
}

FileBytes::~FileBytes() {
  if (mapped_ != nullptr) ::munmap(mapped_, mapped_size_);
}

}  // namespace moecollab::weights
