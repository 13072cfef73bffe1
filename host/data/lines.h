// Bytes that arrive in pieces of any size, cut into lines.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace moecollab::data {

// The longest line, and the longest row of a CSV file, in bytes without its end.
constexpr size_t kMaxLine = size_t{16} << 20;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Line {
  int64_t number = 1;     // from 1
  std::string bytes;      // without "\n" or "\r\n"
  bool too_long = false;  // longer than kMaxLine: `bytes` are the first few only
};

// Stores no more than kMaxLine + 1 bytes of a line that is too long, and reports it as soon as it
// is known to be. Not thread-safe.
class LineSplitter {
 public:
  void feed(std::string_view bytes);
  // No more bytes: what stands after the last line end, if anything, is a line too.
  void finish();
  // The next line that is complete.
  std::optional<Line> next();

 private:
  void append(std::string_view part);
  void end_line();
  void emit(bool too_long);

  std::string current_;
  bool skipping_ = false;  // the current line was reported as too long
  int64_t number_ = 1;
  std::deque<Line> ready_;
};

}  // namespace moecollab::data
