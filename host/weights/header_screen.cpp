#include "weights/header_screen.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

#include "base/strings.h"
#include "weights/refusal.h"

namespace moecollab::weights {
namespace {

constexpr size_t kMaxString = size_t{4} << 20;
constexpr size_t kMaxNumber = size_t{1} << 10;
constexpr size_t kMaxBlank = size_t{64} << 10;

enum class ByteKind : uint8_t { kOther, kBlank, kStructure, kQuote, kBackslash };

constexpr std::array<ByteKind, 256> kByteKinds = [] {
  std::array<ByteKind, 256> kinds{};
  for (const unsigned char c : std::string_view(" \t\n\r")) kinds[c] = ByteKind::kBlank;
  for (const unsigned char c : std::string_view("{}[],:")) kinds[c] = ByteKind::kStructure;
  kinds['"'] = ByteKind::kQuote;
  kinds['\\'] = ByteKind::kBackslash;
  return kinds;
}();

// The JSON library holds the token at hand and the white space before it several times over, and
// white space eightfold in its messages: as large as the header, they would take several times the
// header's memory. A number of megabytes would take it seconds.
void refuse_long_runs(std::string_view json, std::string_view file) {
  const auto require_at_most = [&](std::string_view what, size_t size, size_t largest, size_t at) {
    if (size <= largest) return;
    refuse(
        file, kTooLarge,
        fmt::format("the header's {} at byte {} is longer than {} bytes", what, at + 1, largest));
  };
  bool in_string = false;
  size_t start = 0;  // First byte of the string, number or white space that byte i is in.
  ByteKind before = ByteKind::kStructure;
  for (size_t i = 0; i < json.size(); ++i) {
    const ByteKind kind = kByteKinds[static_cast<unsigned char>(json[i])];
    if (in_string) {
      require_at_most("string", i - start - 1, kMaxString, start);
      if (kind == ByteKind::kBackslash) ++i;
      if (kind == ByteKind::kQuote) in_string = false;
      continue;
    }
    if (kind != before) start = i;
    before = kind;
    if (kind == ByteKind::kQuote) in_string = true;
    if (kind == ByteKind::kBlank) require_at_most("white space", i + 1 - start, kMaxBlank, start);
    if (kind == ByteKind::kOther) require_at_most("number", i + 1 - start, kMaxNumber, start);
  }
}

void refuse_what_json_library_lets_pass(std::string_view json, std::string_view file) {
  // To it a NUL ends the text, whatever follows, and a byte order mark at the start is nothing.
  const size_t nul = json.find('\0');
  if (nul != std::string_view::npos) {
    refuse(file, kNotHeader, fmt::format("the header is not JSON (byte {} of it): a NUL", nul + 1));
  }
  if (json.starts_with("\xEF\xBB\xBF")) {
    refuse(file, kNotHeader, "the header is not JSON (byte 1 of it): a byte order mark");
  }
}

}  // namespace

void screen_header(std::string_view json, std::string_view file) {
  size_t bad = 0;
  if (!is_utf8(json, &bad)) {
    refuse(file, "E_ST_INVALID_HEADER",
           fmt::format("the header is not UTF-8 at byte {} of it", bad + 1));
  }
  refuse_what_json_library_lets_pass(json, file);
  refuse_long_runs(json, file);
}

}  // namespace moecollab::weights
