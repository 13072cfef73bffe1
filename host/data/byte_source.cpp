#include "data/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::data {
namespace {

constexpr size_t kBlock = size_t{128} << 10;

}  // namespace

bool is_standard_input(const fs::path& file) { return file == "-"; }

std::string shown_source(const fs::path& file) {
  return is_standard_input(file) ? "stdin" : escaped(file.string());
}

ByteSource::ByteSource(const fs::path& file)
    : file_(file), fd_(STDIN_FILENO), block_(std::make_unique<char[]>(kBlock)) {
  if (is_standard_input(file)) return;
  // Not blocking: a named pipe opens before it has a writer, and ready() can wait for one.
  do {
    fd_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (fd_ < 0 && errno == EINTR);
  if (fd_ < 0) fail(std::strerror(errno));
  struct stat status {};
  writer_awaited_ = ::fstat(fd_, &status) == 0 && S_ISFIFO(status.st_mode);
}

ByteSource::~ByteSource() {
  if (fd_ >= 0 && !is_standard_input(file_)) ::close(fd_);
}

std::string_view ByteSource::read() {
  if (!begun_) {
    const std::string_view first = begin();
    if (!unpacker_) return first;
  }
  if (!unpacker_) return read_stored();
  try {
    return unpacker_->next();
  } catch (const std::invalid_argument& error) {
    fail(fmt::format("it cannot be unpacked: {}", error.what()));
  }
}

// The first bytes; if they are those of a packed file, the unpacker takes them.
std::string_view ByteSource::begin() {
  begun_ = true;
  std::string_view first = read_stored();
  // The second byte tells, and only two first bytes ask for it.
  while (first.size() == 1 && (first[0] == '\x1F' || first[0] == '\x28')) {
    head_ = first;
    const std::string_view more = read_stored();
    head_ += more;
    first = head_;
    if (more.empty()) break;
  }
  if (!is_packed(first)) return first;
  head_ = first;
  unpacker_.emplace([this, head_given = false]() mutable -> std::string_view {
    if (std::exchange(head_given, true)) return read_stored();
    return head_;
  });
  return {};
}

bool ByteSource::ready(int timeout_ms) {
  pollfd waiting{fd_, POLLIN, 0};
  const int count = ::poll(&waiting, 1, timeout_ms);
  if (count < 0 && errno != EINTR) fail(std::strerror(errno));
  return count > 0;
}

// One read(2), which gives what a pipe holds and waits only while that is nothing.
std::string_view ByteSource::read_stored() {
  // Before its first writer, a named pipe looks as if it had ended.
  while (writer_awaited_ && !ready(-1)) {
  }
  writer_awaited_ = false;
  while (true) {
    const ssize_t count = ::read(fd_, block_.get(), kBlock);
    if (count >= 0) {
      const std::string_view bytes(block_.get(), static_cast<size_t>(count));
      if (stored_ && !bytes.empty()) stored_(bytes);
      return bytes;
    }
    if (errno == EAGAIN) {
      // Opened so, or made so by whoever shares standard input.
      pollfd waiting{fd_, POLLIN, 0};
      ::poll(&waiting, 1, -1);
    } else if (errno != EINTR) {
      fail(std::strerror(errno));
    }
  }
}

void ByteSource::fail(std::string_view reason) {
  throw Error("E_DATA", fmt::format("{} cannot be read: {}", shown_source(file_), reason));
}

}  // namespace moecollab::data
