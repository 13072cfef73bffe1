#include "data/text_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "data/records.h"

namespace moecollab::data {
namespace {

constexpr size_t kReadSize = size_t{64} << 10;

bool is_stdin(const fs::path& file) { return file == "-"; }

std::string shown_source(const fs::path& file) {
  return is_stdin(file) ? "stdin" : escaped(file.string());
}

[[noreturn]] void refuse(const fs::path& file, std::string_view reason) {
  throw Error("E_DATA", fmt::format("{} cannot be read: {}", shown_source(file), reason));
}

// Without opening it: a named pipe may be opened only once.
void require_readable(const fs::path& file) {
  if (is_stdin(file)) return;
  if (::access(file.c_str(), R_OK) != 0) refuse(file, std::strerror(errno));
  std::error_code ignored;
  if (fs::is_directory(file, ignored)) refuse(file, "it is a folder");
}

Format resolved(const fs::path& file, Format format) {
  return format == Format::kAuto && !is_stdin(file) ? format_of(file) : format;
}

// Milliseconds left until `deadline`, at least 0; -1 if there is none.
int left_until(const std::optional<std::chrono::steady_clock::time_point>& deadline) {
  if (!deadline) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

}  // namespace

Json to_json(const BadRecord& bad) {
  return {{"error", {{"line", bad.line}, {"code", bad.code}, {"message", bad.message}}}};
}

// The file that is being read.
struct TextSource::Input {
  Input(int descriptor, const fs::path& path, Format format)
      : fd(descriptor), file(path), records(format, Need::kText) {}
  ~Input() {
    if (!is_stdin(file)) ::close(fd);
  }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  int fd;
  fs::path file;
  RecordReader records;
  bool ended = false;
};

TextSource::TextSource(std::vector<fs::path> files, Format format)
    : files_(std::move(files)), format_(format) {
  if (files_.empty()) files_.emplace_back("-");
  for (const fs::path& file : files_) {
    require_readable(file);
    resolved(file, format_);
  }
  if (std::ranges::count_if(files_, is_stdin) > 1) {
    throw Error("E_CONFIG", "standard input (`-`) is named twice", "it can be read only once");
  }
}

TextSource::~TextSource() = default;

std::optional<TextItem> TextSource::next() {
  while (!fill()) {
    if (at_end()) return std::nullopt;
    read_some();
  }
  return std::exchange(pending_, std::nullopt);
}

bool TextSource::ready(int timeout_ms) {
  std::optional<std::chrono::steady_clock::time_point> deadline;
  if (timeout_ms >= 0) {
    deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  }
  while (!fill()) {
    if (at_end()) return true;
    pollfd waiting{input_->fd, POLLIN, 0};
    const int count = ::poll(&waiting, 1, left_until(deadline));
    if (count == 0 || (count < 0 && errno == EINTR)) return false;
    if (count < 0) fail_read(errno);
    read_some();
  }
  return true;
}

bool TextSource::at_end() const { return !input_ && opened_ == files_.size(); }

// Makes the next record of what was read already the pending one, if there is one, going over to
// the next file if one has ended.
bool TextSource::fill() {
  while (!pending_) {
    if (!input_) {
      if (at_end()) return false;
      open_next();
    }
    std::optional<Entry> entry = input_->records.next();
    if (!entry) {
      if (!input_->ended && !input_->records.stopped()) return false;
      input_.reset();
      continue;
    }
    if (auto* record = std::get_if<Record>(&*entry)) {
      pending_ = TextRecord{record->line, std::move(record->id), std::move(record->text)};
      return true;
    }
    const auto& refused = std::get<Refusal>(*entry);
    const std::string message =
        fmt::format("{}:{}: {}", shown_source(input_->file), place(refused), refused.reason);
    if (refused.whole_file) throw Error("E_DATA", message, refused.hint);
    pending_ = BadRecord{refused.line, "E_DATA", message};
  }
  return true;
}

void TextSource::open_next() {
  const fs::path& file = files_[opened_++];
  int fd = STDIN_FILENO;
  if (!is_stdin(file)) {
    do {
      fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
  }
  if (fd < 0) refuse(file, std::strerror(errno));
  input_ = std::make_unique<Input>(fd, file, resolved(file, format_));
}

// One read(2), which gives what a pipe holds and waits only while that is nothing.
void TextSource::read_some() {
  std::array<char, kReadSize> buffer;
  const ssize_t count = ::read(input_->fd, buffer.data(), buffer.size());
  if (count > 0) {
    input_->records.feed({buffer.data(), static_cast<size_t>(count)});
  } else if (count == 0) {
    input_->records.finish();
    input_->ended = true;
  } else if (errno == EAGAIN) {
    // Standard input may have been made non-blocking by whoever shares it.
    pollfd waiting{input_->fd, POLLIN, 0};
    ::poll(&waiting, 1, -1);
  } else if (errno != EINTR) {
    fail_read(errno);
  }
}

void TextSource::fail_read(int reason) {
  const fs::path file = input_->file;
  input_.reset();
  refuse(file, std::strerror(reason));
}

}  // namespace moecollab::data
