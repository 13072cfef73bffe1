#include "data/lines.h"

namespace moecollab::data {
namespace {

// Enough of a line that is too long to tell JSON from text.
constexpr size_t kKeptOfTooLong = 16;

}  // namespace

void LineSplitter::feed(std::string_view bytes) {
  if (after_return_ && !bytes.empty()) {
    if (bytes.front() == '\n') bytes.remove_prefix(1);
    after_return_ = false;
  }
  buffer_.append(bytes);
}

std::optional<Line> LineSplitter::next() {
  while (true) {
    const std::string_view bytes = buffer_.view();
    const size_t end = find_either(bytes, searched_, '\n', '\r');
    const bool complete = end != std::string_view::npos;
    const size_t size = complete ? end : bytes.size();
    if (skipping_) {
      complete ? drop_end(end) : buffer_.clear();
      searched_ = 0;
      if (!complete) return std::nullopt;
      skipping_ = false;
      ++number_;
      continue;
    }
    if (size > kMaxLine) {
      skipping_ = true;
      searched_ = 0;
      return Line{number_, bytes.substr(0, kKeptOfTooLong), true};
    }
    if (complete) {
      const Line line{number_++, bytes.substr(0, end), false};
      drop_end(end);
      searched_ = 0;
      return line;
    }
    searched_ = bytes.size();
    if (!finished_ || bytes.empty()) return std::nullopt;
    const Line line{number_++, bytes, false};
    buffer_.clear();
    searched_ = 0;
    return line;
  }
}

// Drops the line and its end, which begins at `end`.
void LineSplitter::drop_end(size_t end) {
  const std::string_view bytes = buffer_.view();
  size_t count = end + 1;
  if (bytes[end] == '\r') {
    if (count < bytes.size()) {
      count += bytes[count] == '\n' ? 1 : 0;
    } else {
      after_return_ = true;
    }
  }
  buffer_.drop(count);
}

}  // namespace moecollab::data
