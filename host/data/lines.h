// Bytes that arrive in pieces of any size, cut into lines.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "data/input_buffer.h"

namespace moecollab::data {

// The longest line, row or element, in bytes without its end.
constexpr size_t kMaxLine = size_t{16} << 20;

struct Line {
  int64_t number = 1;      // of the file, from 1
  std::string_view bytes;  // without its end; valid until the splitter is used again
  bool too_long = false;   // longer than kMaxLine: `bytes` are the first few only
};

// A line ends with "\n", "\r\n" or "\r"; the last one may lack its end. A "\r" ends its line at
// once, so that a live stream is not kept waiting for the byte after it. Stores no more than
// kMaxLine bytes and one piece, and reports a line that is too long as soon as it is known to be.
// Not thread-safe.
class LineSplitter {
 public:
  void feed(std::string_view bytes);
  // No more bytes: what stands after the last line end, if anything, is a line too.
  void finish() { finished_ = true; }
  // The next line that is complete.
  std::optional<Line> next();

 private:
  void drop_end(size_t end);

  InputBuffer buffer_;
  size_t searched_ = 0;        // no line end before it
  bool after_return_ = false;  // a "\n" now belongs to the "\r" before it
  bool skipping_ = false;      // the current line was reported as too long
  bool finished_ = false;
  int64_t number_ = 1;
};

}  // namespace moecollab::data
