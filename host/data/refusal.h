// Why a record cannot be read.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace moecollab::data {

struct Refusal {
  int64_t line = 0;    // of the file, from 1: where the record begins
  int64_t column = 0;  // of the row, from 1; 0 if the file has none
  std::string reason;
  std::string hint;
  bool whole_file = false;  // nothing of the file can be read
  bool no_content = false;  // the text, or the label, is empty
};

// "17" or "3:2".
std::string place(const Refusal& refusal);
// The hint with the file's name, quoted for a shell, put for FILE; standard input ("-") has none.
std::string with_file(std::string hint, std::string_view file);

// Thrown within this stage; the reader of records turns it into a Refusal.
struct Refused : std::runtime_error {
  explicit Refused(const std::string& reason, std::string way_on = {}, size_t column_number = 0)
      : std::runtime_error(reason), hint(std::move(way_on)), column(column_number) {}
  std::string hint;
  size_t column;
};

// Refused for having no content.
struct RefusedEmpty : Refused {
  using Refused::Refused;
};

// Refused for lacking a column, or a key, of this name.
struct MissingColumn : Refused {
  MissingColumn(std::string_view missing, const std::string& reason, std::string way_on,
                size_t column_number)
      : Refused(reason, std::move(way_on), column_number), name(missing) {}
  std::string name;
};

// Refused, with all of its file.
struct RefusedFile : Refused {
  using Refused::Refused;
};

Refusal to_refusal(int64_t line, const Refused& error);

}  // namespace moecollab::data
