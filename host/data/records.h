// Records of text, whatever format and wherever from: the one place that says what is acceptable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/json.h"
#include "data/delimited.h"
#include "data/format.h"
#include "data/lines.h"

namespace moecollab::data {

// What a record must hold beside its text.
enum class Need { kText, kTextAndLabel };

struct Record {
  int64_t line = 0;   // of the file, from 1; in CSV and TSV the row, the header being row 1
  std::string text;   // UTF-8, and more than white space
  std::string label;  // empty unless needed; then likewise
  Json id;            // key or column `id`; null if there is none, or if a label is needed
};

struct Refusal {
  int64_t line = 0;
  int64_t column = 0;  // of the row, from 1; 0 if lines have none
  std::string reason;
  std::string hint;
  bool whole_file = false;  // the header is wrong: the file holds no record that could be read
};

// "17" or "3:2".
std::string place(const Refusal& refusal);

using Entry = std::variant<Record, Refusal>;

// Bytes in, records and refusals out, in the order of the file. A refused record does not stop
// those after it, but for a damaged CSV row (unbalanced quotes): there the reader stops.
// kAuto tells JSONL from lines by the first byte. Not thread-safe.
class RecordReader {
 public:
  RecordReader(Format format, Need need);

  void feed(std::string_view bytes);
  void finish();
  std::optional<Entry> next();
  // True once nothing more will come, whatever is fed.
  bool stopped() const { return stopped_; }

 private:
  // Where the header has the columns that are read, from 0.
  struct Header {
    size_t columns = 0, text = 0;
    std::optional<size_t> label, id;
  };

  std::optional<Entry> next_of_rows();
  Entry from_line(const Line& line);
  Header read_header(const Row& row) const;
  Record from_row(const Row& row) const;

  Format format_;
  Need need_;
  LineSplitter lines_;
  std::optional<RowReader> rows_;
  std::optional<Header> header_;
  bool stopped_ = false;
};

}  // namespace moecollab::data
