// Text for people: escaping what strangers wrote, and suggestions for what was mistyped.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab {

// `text` with control bytes and invalid UTF-8 as \xNN, cut after `limit` bytes with "…". For names
// and messages of plugins, files and users before they reach a terminal, a log or a report.
std::string escaped(std::string_view text, size_t limit = 200);

// The candidate with the smallest edit distance to `word`, or "" if none is nearer than half of it.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// "; did you mean `x`?" or "".
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

std::string join(std::span<const std::string> parts, std::string_view separator);

// Whether the bytes are well-formed UTF-8; `*offset`, if given, receives the first bad byte.
bool is_utf8(std::string_view text, size_t* offset = nullptr);

}  // namespace moecollab
