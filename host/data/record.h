// One text of a file, as every reader delivers it.
#pragma once

#include <cstdint>
#include <string_view>

namespace moecollab::data {

// What is read beside the text: the id; the label, which must be there; or both as far as they are.
enum class Need { kText, kTextAndLabel, kTextAndAnyLabel };

// Whether a text has a label, if one is needed.
enum class Labelled {
  kYes,
  kNo,         // a labelling tool's export says so, or (kTextAndAnyLabel) none is there
  kDisagreed,  // annotators gave different labels
};

// The views are valid until the reader is used again.
struct Record {
  int64_t line = 0;        // of the file, from 1: where the record begins
  std::string_view text;   // UTF-8, and more than white space
  std::string_view label;  // likewise, stripped and in form C; empty unless read and there
  Labelled labelled = Labelled::kYes;
  std::string_view task;  // what the annotations of one text share in a tool's export, or empty
  std::string_view id;    // key or column `id` as JSON, byte for byte as it was; or empty
};

}  // namespace moecollab::data
