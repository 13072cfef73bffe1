#include "data/clean_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "data/refusal.h"

namespace moecollab::data {
namespace {

constexpr const char* kContentHint = "remove the record, or fill it in";

// White_Space of Unicode's PropList beyond ASCII, in UTF-8.
constexpr std::string_view kWideSpaces[] = {"\u0085", "\u00A0", "\u1680", "\u2000", "\u2001",
                                            "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
                                            "\u2007", "\u2008", "\u2009", "\u200A", "\u2028",
                                            "\u2029", "\u202F", "\u205F", "\u3000"};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Bytes of the white space at the beginning, or at the end; 0 if there is none.
size_t leading_space(std::string_view text) {
  if (text.empty()) return 0;
  if (is_space(text.front())) return 1;
  if (text.front() > 0) return 0;
  const auto space = std::ranges::find_if(
      kWideSpaces, [&](std::string_view wide) { return text.starts_with(wide); });
  return space == std::end(kWideSpaces) ? 0 : space->size();
}

size_t trailing_space(std::string_view text) {
  if (text.empty()) return 0;
  if (is_space(text.back())) return 1;
  if (text.back() > 0) return 0;
  const auto space = std::ranges::find_if(
      kWideSpaces, [&](std::string_view wide) { return text.ends_with(wide); });
  return space == std::end(kWideSpaces) ? 0 : space->size();
}

}  // namespace

void require_clean_bytes(std::string_view bytes, std::string_view what, size_t column) {
  const size_t nul = bytes.find('\0');
  if (nul != std::string_view::npos) {
    throw Refused(fmt::format("{} holds a NUL byte (byte {})", what, nul + 1),
                  "the file may be damaged: remove the byte, or the record", column);
  }
  size_t offset = 0;
  if (!is_utf8(bytes, &offset)) {
    throw Refused(fmt::format("{} is not UTF-8 (byte {}: 0x{:02x})", what, offset + 1,
                              static_cast<unsigned char>(bytes[offset])),
                  "save the file as UTF-8", column);
  }
}

void require_content(std::string_view text, std::string_view what, size_t column) {
  if (text.empty()) throw RefusedEmpty(fmt::format("{} is empty", what), kContentHint, column);
  if (leading_space(text) > 0 && stripped(text).empty()) {
    throw RefusedEmpty(fmt::format("{} holds nothing but white space", what), kContentHint, column);
  }
}

std::string_view stripped(std::string_view text) {
  while (const size_t space = leading_space(text)) text.remove_prefix(space);
  while (const size_t space = trailing_space(text)) text.remove_suffix(space);
  return text;
}

std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

}  // namespace moecollab::data
