// Labelled texts of one domain, from a file that somebody else wrote.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/run_context.h"
#include "data/format.h"

namespace moecollab::data {

struct Example {
  std::string text;   // UTF-8, and more than white space
  std::string label;  // likewise, without white space at its ends, in Unicode's form C
  int64_t line = 0;   // of the file, from 1: where the record begins
};

struct Dataset {
  std::string domain;
  fs::path file;
  std::string sha256;             // of the file's bytes as they lie there, hexadecimal
  std::vector<Example> examples;  // at least one, in the order of the file
};

// Reads a whole file, once: JSONL, JSON, CSV or TSV, packed or not, as the reading says. Every
// refusal is E_DATA with "file:line: reason" ("file:line:column: reason" in CSV and TSV), and says
// how many records follow it. Texts that a labelling tool's export shows as unlabelled, or labelled
// differently by several annotators, are left out with a warning. What was not taken as it stands
// is noted in `log`.
Dataset read_dataset(const std::string& domain, const fs::path& file, const Reading& reading = {},
                     Log log = {});

// Throws E_DATA_CHANGED if the file no longer has the bytes that were parsed; a pipe has none.
void require_unchanged(const Dataset& dataset);

// SHA-256 of texts and labels as they were read, hexadecimal: of equal bytes it differs if they are
// read otherwise.
std::string digest_as_read(const Dataset& dataset);

// The labels, sorted by bytes, each once.
std::vector<std::string> labels_of(const Dataset& dataset);

}  // namespace moecollab::data
