// Where the data of each domain lies: --data-dir, --data, --split.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "base/run_context.h"
#include "data/format.h"

namespace moecollab::data {

struct DataOptions {
  fs::path dir;                    // --data-dir: <dir>/<domain>/{train,dev,test}.jsonl; or empty
  std::vector<std::string> files;  // --data DOMAIN=FILE, each
  std::string split;               // --split train, dev or test; empty: the verb's default
  Reading reading = {};  // --format and the like; with csv or tsv that is the extension looked for
};

struct DataFile {
  std::string domain;
  fs::path path;
  std::string split;  // which of the folder's files; as in the options if the file was named
};

// The files of all domains given, sorted by domain, at least one. `default_split` is a split, or
// "test-else-dev": test if there is one, else dev. Domains of the folder that lack the split are
// left out with a warning; names beginning with "." are none.
// Throws E_CONFIG (neither folder nor file, DOMAIN=FILE malformed, a domain twice, no such split),
// E_DATA (no such folder, no domain in it has the split).
std::vector<DataFile> locate(const DataOptions& options, const std::string& default_split, Log log);

}  // namespace moecollab::data
