// Where the data of each domain lies: --data-dir, --data, --split.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/run_context.h"
#include "data/format.h"

namespace moecollab::data {

struct DataOptions {
  fs::path dir;                    // --data-dir: <dir>/<domain>/<split>.EXT, as find_split(); or ""
  std::vector<std::string> files;  // --data DOMAIN=FILE[,KEY=VALUE…], each
  std::string split;               // --split train, dev or test; empty: the verb's default
  Reading reading = {};  // --format and the like; a format's extensions only are looked for
  // How each domain's files are read, unless the reading above says it.
  std::map<std::string, Reading> of_domains = {};
};

struct DataFile {
  std::string domain;  // as domain_name() has it
  fs::path path;
  std::string split;     // which of the folder's files; as in the options if the file was named
  std::string given;     // the domain's name as the folder or the option has it
  Reading reading = {};  // the options', but for what the file's own --data says
};

// The files of all domains given, sorted by domain, at least one. `default_split` is a split, or
// "test-else-dev": test if there is one, else dev. Domains of the folder that lack the split are
// left out with a warning; folders whose name begins with "." are none. A note says which domains
// have another name here than they were given.
// KEY=VALUE after a file's name: how this file is read, KEY being format, quoting, text-column,
// label-column, id-column, label-base, or label-names, columns or join, whose names stand with `+`
// between them.
// Throws E_CONFIG (neither folder nor file, DOMAIN=FILE malformed, a name that cannot be a
// domain's, two of the same name, no such split, two files for a split), E_DATA (no such folder, no
// domain in it has the split).
std::vector<DataFile> locate(const DataOptions& options, const std::string& default_split, Log log);

// The training files of the folder's domains, without a word; none without a folder. Throws as
// locate(), but not for domains without one.
std::vector<DataFile> training_files(const DataOptions& options);

// For a verb that fits on training files and judges on others: refuses anything but a folder that
// may hold both, and the training split as judge. Throws E_CONFIG.
void require_training_folder(const DataOptions& options, const char* verb);

}  // namespace moecollab::data
