// How this stage says no.
#pragma once

#include <string>
#include <string_view>

namespace moecollab::weights {

// Throws Error{`code`} with the message "`file`: `what`"; the file's name is escaped here. Without
// a hint of its own, the error says that the file is damaged.
[[noreturn]] void refuse(std::string_view file, const char* code, std::string_view what,
                         std::string hint = {});

// A name from a file as it may stand in a message: escaped and cut at 80 bytes.
std::string shown(std::string_view name);

}  // namespace moecollab::weights
