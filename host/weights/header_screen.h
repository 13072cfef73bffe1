// What is refused in a header's bytes before the JSON library sees them.
#pragma once

#include <string_view>

namespace moecollab::weights {

// Refuses text that is not UTF-8 (E_ST_INVALID_HEADER), has a NUL or begins with a byte order mark
// (E_ST_INVALID_HEADER_DESERIALIZATION), or has a string of more than 4 MiB, a number of more than
// 1 KiB or a run of more than 64 KiB of white space (E_ST_HEADER_TOO_LARGE). Takes no memory.
void screen_header(std::string_view json, std::string_view file);

}  // namespace moecollab::weights
