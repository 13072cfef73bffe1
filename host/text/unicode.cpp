#include "text/unicode.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <iterator>

#include "base/error.h"

namespace moecollab::text {
namespace {

// The versions of Unicode behind the reference's tables of categories and of normalisation.
constexpr int kCategoryVersion = 8;
constexpr int kNormalizationVersion = 9;

bool is_assigned_in(int version, char32_t c) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(c), age);
  return age[0] <= version;
}

bool in_categories(char32_t c, uint32_t mask) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & mask) != 0 &&
         is_assigned_in(kCategoryVersion, c);
}

// Lower case of what ICU 72 (Unicode 15) does not know yet and the reference (Unicode 17) does:
// the code points first..last map to first_lower and on.
struct NewCase {
  char32_t first, last, first_lower;
};
constexpr NewCase kNewCases[] = {{0x1C89, 0x1C89, 0x1C8A},    {0xA7CB, 0xA7CB, 0x0264},
                                 {0xA7CC, 0xA7CC, 0xA7CD},    {0xA7CE, 0xA7CE, 0xA7CF},
                                 {0xA7D2, 0xA7D2, 0xA7D3},    {0xA7D4, 0xA7D4, 0xA7D5},
                                 {0xA7DA, 0xA7DA, 0xA7DB},    {0xA7DC, 0xA7DC, 0x019B},
                                 {0x10D50, 0x10D65, 0x10D70}, {0x16EA0, 0x16EB8, 0x16EBB}};

const UNormalizer2* nfd() {
  static const UNormalizer2* const instance = [] {
    UErrorCode status = U_ZERO_ERROR;
    const UNormalizer2* found = unorm2_getNFDInstance(&status);
    if (U_FAILURE(status)) {
      throw Error("E_ENCODER", std::string("ICU has no NFD data: ") + u_errorName(status),
                  "reinstall the ICU library");
    }
    return found;
  }();
  return instance;
}

}  // namespace

bool is_ascii(std::string_view text) {
  unsigned char seen = 0;
  for (const char byte : text) seen |= static_cast<unsigned char>(byte);
  return seen < 0x80;
}

char32_t next_code_point(std::string_view text, size_t* at) {
  UChar32 c;
  U8_NEXT_OR_FFFD(text.data(), *at, text.size(), c);
  return static_cast<char32_t>(c);
}

void append_utf8(char32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
    return;
  }
  char bytes[U8_MAX_LENGTH];
  int n = 0;
  U8_APPEND_UNSAFE(bytes, n, c);
  out->append(bytes, static_cast<size_t>(n));
}

std::string_view trim_end(std::string_view text) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && U8_IS_TRAIL(text[start])) --start;
    size_t at = start;
    if (!is_white_space(next_code_point(text, &at))) break;
    text = text.substr(0, start);
  }
  return text;
}

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return u_isUWhiteSpace(static_cast<UChar32>(c));
}

bool is_other(char32_t c) { return in_categories(c, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK); }

bool is_nonspacing_mark(char32_t c) {
  if (c == 0x1734) return true;                                                 // now Mc
  if (c == 0x1885 || c == 0x1886 || c == 0xA9BD || c == 0x111C9) return false;  // Mn by now
  return in_categories(c, U_GC_MN_MASK);
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return c > ' ' && c < 0x7F && !u_isalnum(static_cast<UChar32>(c));
  if (c == 0x166D || c == 0x111C9) return true;  // now So and Mn
  return in_categories(c, U_GC_P_MASK);
}

bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

uint8_t combining_class(char32_t c) {
  const uint8_t value = u_getCombiningClass(static_cast<UChar32>(c));
  return value != 0 && is_assigned_in(kNormalizationVersion, c) ? value : 0;
}

void append_decomposition(char32_t c, std::u32string* out) {
  UChar units[32];  // the longest full decomposition is 4 code points
  UErrorCode status = U_ZERO_ERROR;
  const int32_t n =
      unorm2_getDecomposition(nfd(), static_cast<UChar32>(c), units, std::size(units), &status);
  if (n < 0 || !is_assigned_in(kNormalizationVersion, c)) {
    out->push_back(c);
    return;
  }
  for (int32_t at = 0; at < n;) {
    UChar32 part;
    U16_NEXT(units, at, n, part);
    out->push_back(static_cast<char32_t>(part));
  }
}

std::string nfc(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* const normalizer = icu::Normalizer2::getNFCInstance(status);
  std::string result;
  if (U_SUCCESS(status)) {
    icu::StringByteSink<std::string> sink(&result);
    normalizer->normalizeUTF8(0, {text.data(), static_cast<int32_t>(text.size())}, sink, nullptr,
                              status);
  }
  if (U_FAILURE(status)) throw Error("E_INTERNAL", std::string("ICU: ") + u_errorName(status));
  return result;
}

void append_lowercase(char32_t c, std::string* out) {
  // The one code point whose unconditional full mapping (SpecialCasing.txt) is not its simple one.
  if (c == 0x130) {
    out->append("i\u0307");
    return;
  }
  for (const NewCase& range : kNewCases) {
    if (c >= range.first && c <= range.last) {
      append_utf8(range.first_lower + (c - range.first), out);
      return;
    }
  }
  append_utf8(static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))), out);
}

}  // namespace moecollab::text
