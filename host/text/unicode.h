// Code points of UTF-8 text, with the character classes of the reference tokenizer.
//
// The reference takes general categories from the Rust crate unicode_categories 0.1.1 (Unicode 8),
// decomposition and combining classes from unicode-normalization-alignments (Unicode 9), white
// space and lower case from Rust's standard library (Unicode 17). The functions here answer as
// those do for every code point, whatever newer ICU is underneath:
// tests/golden/tokenizer_code_points.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moecollab::text {

inline constexpr char32_t kReplacement = 0xFFFD;

inline bool is_ascii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }
bool is_ascii(std::string_view text);

// Decodes the code point at `*at` and moves `*at` past it. Precondition: *at < text.size(). An
// ill-formed sequence yields U+FFFD, one for each maximal part, as in Rust's from_utf8_lossy.
char32_t next_code_point(std::string_view text, size_t* at);

void append_utf8(char32_t c, std::string* out);

// `text` without its trailing white space, as Rust's str::trim_end. Precondition: valid UTF-8.
std::string_view trim_end(std::string_view text);

// White_Space (Rust's char::is_whitespace).
bool is_white_space(char32_t c);
// Categories Cc, Cf and Co: what text cleaning drops (tab and line ends are kept by the caller).
bool is_other(char32_t c);
// Category Mn.
bool is_nonspacing_mark(char32_t c);
// ASCII punctuation, symbols included, or one of the P categories.
bool is_punctuation(char32_t c);
// The blocks that the reference surrounds with spaces, the gap at U+2B820..2B91F included.
bool is_chinese(char32_t c);

// Canonical combining class, 0 for a starter.
uint8_t combining_class(char32_t c);
// Appends the full canonical decomposition of one code point, not reordered.
void append_decomposition(char32_t c, std::u32string* out);

// The canonical composition (NFC, ICU's tables). Precondition: valid UTF-8.
std::string nfc(std::string_view text);

// Full lower case of one code point without context (no final sigma).
void append_lowercase(char32_t c, std::string* out);

}  // namespace moecollab::text
