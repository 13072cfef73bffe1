// Labelled texts of one domain, from a file that somebody else wrote.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"
#include "data/format.h"

namespace moecollab::data {

struct Example {
  std::string text;   // UTF-8, and more than white space
  std::string label;  // likewise
  int64_t line = 0;   // of the file, from 1; in CSV and TSV the row, the header being row 1
};

struct Dataset {
  std::string domain;
  fs::path file;
  std::string sha256;             // of the bytes that were parsed, hexadecimal
  std::vector<Example> examples;  // at least one, in the order of the file
};

// Reads a whole file, once: JSONL with the keys `text` and `label` (others are ignored), or CSV or
// TSV whose header names columns of those names. Every refusal is E_DATA with "file:line: reason"
// ("file:row:column: reason" in CSV and TSV); nothing is skipped.
Dataset read_dataset(const std::string& domain, const fs::path& file,
                     Format format = Format::kAuto);

// Throws E_DATA_CHANGED if the file no longer has the bytes that were parsed.
void require_unchanged(const Dataset& dataset);

// The labels, sorted by bytes, each once.
std::vector<std::string> labels_of(const Dataset& dataset);

}  // namespace moecollab::data
