// TOML files that strangers may have written: screened before the parser sees them.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/json.h"

namespace moecollab {

struct TomlDocument {
  Json root;                         // the document's values; dates are refused
  std::map<std::string, int> lines;  // line of each key by path, as in "expert[1].name"
};

// Parses `bytes` of at most `limit`, all of `code_family` + _SIZE, _BYTES, _SYNTAX being refusals
// that name `file` and offset or line. Screening comes first because toml++ 3.3.0 aborts or
// overreads on control bytes and overflows its stack on deep keys.
TomlDocument parse_toml(std::string_view bytes, const std::string& file,
                        const std::string& code_family, size_t limit = size_t{64} << 10);

// The same for a file; one that cannot be read is code_family + _IO.
TomlDocument read_toml(const fs::path& path, const std::string& code_family,
                       size_t limit = size_t{64} << 10);

// A string as a TOML basic string, quoted.
std::string toml_string(std::string_view text);

// A JSON object as TOML text: scalars and arrays first (a table inside a mixed or nested array
// inline), then [tables] and [[arrays of tables]] in order. Null members are left out.
std::string to_toml(const Json& table);

}  // namespace moecollab
