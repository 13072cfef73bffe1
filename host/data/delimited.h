// CSV and TSV: bytes that arrive in pieces of any size, cut into rows of fields.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct csv_parser;

namespace moecollab::data {

struct Row {
  int64_t number = 1;               // from 1: the header is row 1
  std::vector<std::string> fields;  // none: the row is an empty line
  // Why this row, and with it all after it, cannot be read; else empty. The field after `fields`
  // is the damaged one.
  std::string damage;
};

// Rows as RFC 4180 has them: a field with a delimiter, a line break or a quote in it stands in
// double quotes, and a quote in it is doubled. Strict: a quote elsewhere, text after a closing
// quote, a byte order mark, more than 4096 columns or a row above kMaxLine bytes is damage. White
// space belongs to the field. Rows end with "\n" or "\r\n". Not thread-safe.
class RowReader {
 public:
  explicit RowReader(char delimiter);
  ~RowReader();
  RowReader(const RowReader&) = delete;
  RowReader& operator=(const RowReader&) = delete;

  void feed(std::string_view bytes);
  // No more bytes: an open row ends here; an open quote is damage.
  void finish();
  // The next row that is complete; nothing comes after a damaged one.
  std::optional<Row> next();

 private:
  struct Callbacks;

  void add_field(std::string_view field);
  void end_row();
  void damage(std::string reason);
  void parse(std::string_view piece);

  std::unique_ptr<csv_parser> parser_;
  std::string head_;  // the first bytes, where a byte order mark would be
  Row row_;
  size_t row_bytes_ = 0;
  bool damaged_ = false;
  std::exception_ptr failure_;  // thrown in a callback, kept until the C library has returned
  std::deque<Row> ready_;
};

}  // namespace moecollab::data
