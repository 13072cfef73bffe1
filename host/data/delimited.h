// CSV and TSV: bytes that arrive in pieces of any size, cut into rows of fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/input_buffer.h"

namespace moecollab::data {

// What a double quote at the beginning of a field means.
enum class Quotes {
  kCsv,      // RFC 4180: the field ends with the next quote that is not doubled, maybe lines later
  kOneLine,  // the same, but it ends on the line where it began
  kNone,     // a character like any other
  kJudged,   // kOneLine or kNone, whichever the first 64 KiB bear out
};

struct Row {
  int64_t line = 1;                      // of the file, from 1: where the row begins
  std::vector<std::string_view> fields;  // valid until the reader is used again
  // Why the row cannot be read, else empty; then it has no fields.
  std::string damage;
  std::string hint;           // the way on
  size_t damaged_column = 0;  // from 1
};

// Rows as RFC 4180 has them, and as the readers in use take what it leaves open: a quote inside a
// field that does not begin with one is a character; a row ends with "\n", "\r\n" or "\r"; lines of
// blanks are no rows; white space belongs to the field. Text after a closing quote, a quote that
// never closes, more than 4096 columns and a row above kMaxLine bytes are damage. A damaged row
// costs its first line: reading continues with the line after it.
//
// kJudged: quotes are CSV's if in the first 64 KiB every field that begins with one ends with one
// on its line, inner ones doubled. The answer is needed, and waited for, only when a field begins
// with a quote. Not thread-safe.
class RowReader {
 public:
  RowReader(char delimiter, Quotes quotes) : delimiter_(delimiter), quotes_(quotes) {}

  void feed(std::string_view bytes);
  // No more bytes: an open row ends here; an open quote is damage.
  void finish() { finished_ = true; }
  // The next row that is complete; nullptr if there is none yet. Valid until the reader is used
  // again.
  const Row* next();
  // How quotes are read; kJudged as long as no field began with one.
  Quotes quotes() const { return quotes_; }
  // With kNone after kJudged, the line whose field begins with a quote and does not end with one.
  int64_t unquoted_line() const { return unquoted_line_; }

 private:
  enum class At { kFieldStart, kPlain, kQuoted, kAfterQuote };
  struct Field {
    size_t begin = 0, end = 0;  // in the buffer
    bool quoted = false, doubled = false;
  };

  bool scan();
  bool scan_plain(std::string_view bytes);
  bool scan_quoted(std::string_view bytes);
  bool scan_after_quote(std::string_view bytes);
  bool end_field(size_t end, size_t terminator);
  bool decide(std::string_view bytes);
  bool is_blank(std::string_view bytes) const;
  const Row* deliver();
  const Row* damaged();
  int64_t lines_of_row() const;
  bool fits();
  void restart(size_t consumed, int64_t lines);
  void damage(std::string reason, std::string hint = {});
  std::string_view unescape(const Field& field);

  char delimiter_;
  Quotes quotes_;
  InputBuffer buffer_;
  std::vector<Field> fields_;  // of the row that is being scanned
  Row row_;
  At at_ = At::kFieldStart;
  size_t offset_ = 0;     // scanned up to here
  size_t row_end_ = 0;    // of a complete row, its line end included
  uint64_t dropped_ = 0;  // bytes taken from the front of the buffer so far
  int64_t line_ = 1;      // where the row begins
  int64_t unquoted_line_ = 0;
  int64_t scanned_again_ = 0;
  bool after_return_ = false, skipping_ = false, finished_ = false, stopped_ = false;
};

}  // namespace moecollab::data
