// The formats in which texts come in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "data/columns.h"

namespace moecollab::data {

// `--format`. kJson is one array of objects, or objects that span lines; kLines is one unlabelled
// text a line; kAuto goes by content and name.
enum class Format { kAuto, kJsonl, kJson, kCsv, kTsv, kLines };

// `--quoting`: what a double quote at the beginning of a field means in CSV and TSV. kAuto: in CSV
// as RFC 4180 has it; in TSV a character, unless the file's first 64 KiB show quoted fields.
enum class Quoting { kAuto, kCsv, kNone };

// How files are read.
struct Reading {
  Format format = Format::kAuto;
  Quoting quoting = Quoting::kAuto;
  Columns columns = {};
};

// `base` with what `other` says itself.
Reading overlaid(Reading base, const Reading& other);

// E_CONFIG, with the nearest of the names, for another word.
Format parse_format(std::string_view name);
Quoting parse_quoting(std::string_view name);
std::string_view name(Format format);

// The format that the name's extension stands for, in either case, .gz and .zst left out: .jsonl
// .ndjson, .json, .csv, .tsv .tab, .txt; kAuto for a name without extension; nullopt for another.
std::optional<Format> format_of(const fs::path& file);

// Whether the format is one of rows and columns.
bool has_columns(Format format);

// What a file is, as far as its first bytes tell.
struct Judgement {
  Format format;
  std::string note;  // said once, if the content is not what the name says; or empty
  bool may_be_json =
      false;  // lines: one that is JSON is refused, as nobody said that these are texts
};

// Judges by the first bytes of the decoded text, all of the file if `finished`: what begins as JSON
// is JSON, a first line that names a text column is a header. `named` is format_of() the file.
// nullopt if more bytes are needed. Throws RefusedFile if lines and a table cannot be told apart,
// and for lines in a file whose extension says something else.
std::optional<Judgement> judge_format(std::string_view head, bool finished,
                                      std::optional<Format> named, const Columns& columns);

// Throws RefusedFile if the bytes are those of a format that is read by other programs.
void refuse_foreign_format(std::string_view head);

}  // namespace moecollab::data
