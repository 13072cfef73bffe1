// What a labelled file holds, and what is odd about it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace moecollab::data {

// Takes the records of one file, one after the other, and says what they are like. Keeps 24 bytes a
// record, and the labels. Not thread-safe.
class DataCheck {
 public:
  // `length` measures a text in `unit` ("tokens", "words").
  DataCheck(std::function<int64_t(std::string_view)> length, std::string unit);
  // Measures nothing.
  DataCheck() = default;

  // An empty label: the text has none.
  void add(std::string_view text, std::string_view label, int64_t line);

  // rows, labels with their counts, lengths, duplicates, and what warnings() are about.
  Json to_json() const;
  // One sentence each: texts under two labels, labels that look alike, labels of one text, and the
  // class number that stands for no label.
  std::vector<std::string> warnings() const;
  // How many texts of this file also stand in the other.
  int64_t shared_with(const DataCheck& other) const;

 private:
  struct Row {
    std::array<uint32_t, 4> text;  // of its digest
    uint32_t label, line;
  };
  struct Duplicates {
    int64_t texts = 0;             // that stand more than once
    int64_t conflicting = 0;       // of these, with different labels
    uint32_t line = 0, other = 0;  // of the first conflict
  };

  void sort() const;
  Duplicates duplicates() const;
  std::vector<std::vector<std::string>> alike() const;
  std::vector<std::string> alone() const;

  std::function<int64_t(std::string_view)> length_;
  std::string unit_;
  mutable std::deque<Row> rows_;  // sorted once the last one is there
  mutable bool sorted_ = true;
  std::map<std::string, uint32_t, std::less<>> ids_;  // of labels
  std::vector<int64_t> counts_;                       // by id
  int64_t unlabelled_ = 0;
  int64_t shortest_ = 0, longest_ = 0, total_ = 0;
};

// Words between white space, for DataCheck's length.
int64_t count_words(std::string_view text);

}  // namespace moecollab::data
