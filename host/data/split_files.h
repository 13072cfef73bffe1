// The files of one domain's folder: which of them is a split, and what else lies there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "data/format.h"

namespace moecollab::data {

// A file that holds a split, by its name: <split>.EXT (dev also as validation, valid or val), EXT
// one of jsonl, ndjson, json, csv and tsv in either case, and each with .gz or .zst after it.
struct SplitFile {
  std::string split;
  fs::path path;
};

// The first of `splits` that the folder has, in a format that counts: any for kAuto, else that one.
// Throws E_CONFIG listing both if two files could be the split, E_DATA if the folder cannot be
// read.
std::optional<SplitFile> find_split(const fs::path& folder, const std::vector<std::string>& splits,
                                    Format format);

// What find_split() looks for, as a person would write it: "test.{jsonl,csv} or dev.{jsonl,csv}".
// Throws E_CONFIG for a format that no labelled file has.
std::string looked_for(const std::vector<std::string>& splits, Format format);

// The names of a few files in the folder, for a person who looks for another one: "dev.jsonl,
// notes.txt"; "no file". Hidden files are passed over, and a folder that cannot be read has none.
std::string files_there(const fs::path& folder);

}  // namespace moecollab::data
