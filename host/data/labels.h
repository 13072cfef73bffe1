// Labels as people write them: text, class numbers, truth values, lists of one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/columns.h"

namespace moecollab::data {

// How often a file's labels were not taken as they stand.
struct LabelCounts {
  int64_t stripped = 0;  // white space at an end dropped
  int64_t composed = 0;  // brought into Unicode's form C
  int64_t numbers = 0;   // class numbers that have no name
};

// A label's value made the label: its text, stripped and in form C; a class number's name. Each
// throws Refused for what is no label, with the word multi-label for a list of several; nullopt is
// a text without label: an empty list, or the class number -1 if names or a base are given. What is
// returned is valid until the next call. Not thread-safe.
class LabelReader {
 public:
  // `columns` must outlive it.
  explicit LabelReader(const Columns& columns) : columns_(columns) {}

  // A cell of a table or a string: also `[0]`, `['joy']`, `["joy"]` and {"choices": ["joy"]}, as
  // libraries and labelling tools write lists of one into cells. `what` and `column` are for
  // errors.
  std::optional<std::string_view> from_text(std::string_view text, std::string_view what,
                                            size_t column = 0);
  std::optional<std::string_view> from_number(int64_t number, std::string_view what,
                                              size_t column = 0);
  std::optional<std::string_view> from_bool(bool value, std::string_view what);

  const LabelCounts& counts() const { return counts_; }

 private:
  std::optional<int64_t> class_number(std::string_view label) const;
  std::string_view from_name(std::string_view text, std::string_view what, size_t column);

  const Columns& columns_;
  LabelCounts counts_;
  std::string kept_, item_;
};

// Throws Refused, for a list of `count` labels, with the word multi-label.
[[noreturn]] void refuse_multi_label(std::string_view what, size_t count, size_t column = 0);

}  // namespace moecollab::data
