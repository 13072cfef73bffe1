// How this stage says no.
#pragma once

#include <string>
#include <string_view>

namespace moecollab::weights {

constexpr char kTooLarge[] = "E_ST_HEADER_TOO_LARGE";
constexpr char kNotHeader[] = "E_ST_INVALID_HEADER_DESERIALIZATION";

// Throws Error{`code`} with the message "`file`: `what`"; the file's name is escaped here. Without
// a hint of its own, the error says that the file is damaged.
[[noreturn]] void refuse(std::string_view file, const char* code, std::string_view what,
                         std::string hint = {});

// A name from a file as it may stand in a message: escaped and cut at 80 bytes.
std::string shown(std::string_view name);

}  // namespace moecollab::weights
