// Rows of a table made records.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/columns.h"
#include "data/delimited.h"
#include "data/labels.h"
#include "data/record.h"

namespace moecollab::data {

// Reads rows by the header, the file's first row or the names given for a file without one. Not
// thread-safe.
class TableRecords {
 public:
  TableRecords(const Columns& columns, Need need);

  // nullopt for the header, and for a row without anything, as spreadsheets pad tables. Valid until
  // the next call, and as long as the row is. Throws Refused for a row, RefusedFile for a header.
  std::optional<Record> read(const Row& row);

  const LabelCounts& label_counts() const { return labels_.counts(); }
  int64_t padding() const { return padding_; }  // rows without anything so far

 private:
  void read_header(const Row& row);
  void settle(const std::vector<std::string_view>& names);
  std::string_view text_of(const Row& row);
  void read_label(const Row& row, Record& record);

  const Columns columns_;
  const Need need_;
  LabelReader labels_;
  std::vector<std::string> names_;  // of the columns, once known
  std::vector<std::string> what_;   // the same, as messages name them
  ColumnPlaces places_;
  std::optional<size_t> task_;  // of a labelling tool's export with a row per answer
  bool tool_ = false, doccano_ = false;
  int64_t padding_ = 0;
  std::string joined_, id_;
};

}  // namespace moecollab::data
