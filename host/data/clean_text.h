// What is acceptable as a text or a label, whatever the format.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace moecollab::data {

// Throws Refused, naming `what`, unless the bytes are UTF-8 without NUL.
void require_clean_bytes(std::string_view bytes, std::string_view what, size_t column = 0);
// Throws Refused unless there is more than white space.
void require_content(std::string_view text, std::string_view what, size_t column = 0);

// Without the white space (Unicode's White_Space) at both ends.
std::string_view stripped(std::string_view text);

// With A to Z as a to z.
std::string ascii_lower(std::string_view text);

}  // namespace moecollab::data
