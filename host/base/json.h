// JSON, read strictly.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace moecollab {

// Keeps the order of keys, so that what we write can be compared by eye and by bytes.
using Json = nlohmann::ordered_json;

// Parses one JSON document: UTF-8, no duplicate keys, at most `max_depth` nested containers.
// Throws std::invalid_argument saying what is wrong at which byte; callers add file and line.
Json parse_json(std::string_view bytes, int max_depth = 32);

// `value` on one line, or indented; non-finite numbers become null. Invalid UTF-8 is replaced.
std::string to_line(const Json& value);
std::string to_text(const Json& value);

}  // namespace moecollab
