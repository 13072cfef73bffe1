// The formats in which texts come in.
#pragma once

#include <string_view>

#include "base/files.h"

namespace moecollab::data {

// `--format`. kLines is one unlabelled text a line; kAuto goes by the file's name.
enum class Format { kAuto, kJsonl, kCsv, kTsv, kLines };

// auto, jsonl, csv, tsv or lines; anything else is E_CONFIG with the nearest of them.
Format parse_format(std::string_view name);

// The format that the name's extension stands for, in either case: .jsonl .ndjson .json, .csv,
// .tsv .tab, .txt; kAuto for a name without extension. Another extension is E_DATA.
Format format_of(const fs::path& file);

// Whether the format is one of rows and columns.
bool has_columns(Format format);

}  // namespace moecollab::data
