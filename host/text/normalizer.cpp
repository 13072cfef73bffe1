#include "text/normalizer.h"

#include <algorithm>
#include <array>

#include "text/unicode.h"

namespace moecollab::text {
namespace {

enum class Kind : uint8_t { kLetter, kSpace, kPunctuation };

// What becomes of each ASCII character, so that English text needs no Unicode library.
struct AsciiTables {
  std::array<Kind, 128> kind{};
  std::array<char, 128> cleaned{};  // '\0': dropped
  std::array<char, 128> lower{};

  constexpr AsciiTables() {
    for (size_t i = 0; i < 128; ++i) {
      const char c = static_cast<char>(i);
      const bool upper = c >= 'A' && c <= 'Z';
      const bool alphanumeric = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
      const bool control = c < ' ' || c == 0x7F;
      const bool space = c == ' ' || (c >= '\t' && c <= '\r');
      kind[i] = space ? Kind::kSpace : control || alphanumeric ? Kind::kLetter : Kind::kPunctuation;
      cleaned[i] = c == '\t' || c == '\n' || c == '\r' ? ' ' : control ? '\0' : c;
      lower[i] = upper ? static_cast<char>(c + ('a' - 'A')) : c;
    }
  }
};

constexpr AsciiTables kAscii;

size_t index(char byte) { return static_cast<unsigned char>(byte); }

Kind kind_of(char32_t c) {
  if (c < 0x80) return kAscii.kind[c];
  if (is_white_space(c)) return Kind::kSpace;
  return is_punctuation(c) ? Kind::kPunctuation : Kind::kLetter;
}

// Collects the canonical decomposition of a text in canonical order, without its nonspacing marks.
//
// Marks are dropped before they are sorted: a stable sort of fewer elements leaves the others in
// the same order, and a text of a million accents costs nothing.
class AccentStripper {
 public:
  explicit AccentStripper(std::string* out) : out_(out) {}

  void add(char32_t c) {
    parts_.clear();
    append_decomposition(c, &parts_);
    for (const char32_t part : parts_) {
      // A starter ends the run even if it is a mark to be dropped (U+034F).
      const bool starter = combining_class(part) == 0;
      if (starter) flush();
      if (is_nonspacing_mark(part)) continue;
      if (starter) {
        append_utf8(part, out_);
      } else {
        run_.push_back(part);
      }
    }
  }

  void flush() {
    if (run_.empty()) return;
    std::stable_sort(run_.begin(), run_.end(), [](char32_t a, char32_t b) {
      return combining_class(a) < combining_class(b);
    });
    for (const char32_t c : run_) append_utf8(c, out_);
    run_.clear();
  }

 private:
  std::string* out_;
  std::u32string parts_, run_;
};

}  // namespace

std::string repaired_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) append_utf8(next_code_point(text, &at), &out);
  return out;
}

std::string clean_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto& cleaned = kAscii.cleaned;
  for (size_t at = 0; at < text.size();) {
    if (is_ascii(text[at])) {
      const char c = cleaned[index(text[at++])];
      if (c != '\0') out.push_back(c);
      continue;
    }
    const char32_t c = next_code_point(text, &at);
    if (c == kReplacement || is_other(c)) continue;
    append_utf8(is_white_space(c) ? U' ' : c, &out);
  }
  return out;
}

std::string space_chinese(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    if (is_ascii(text[at])) {
      out.push_back(text[at++]);
      continue;
    }
    const char32_t c = next_code_point(text, &at);
    const bool spaced = is_chinese(c);
    if (spaced) out.push_back(' ');
    append_utf8(c, &out);
    if (spaced) out.push_back(' ');
  }
  return out;
}

std::string strip_accents(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  AccentStripper stripper(&out);
  for (size_t at = 0; at < text.size();) {
    if (is_ascii(text[at])) {
      stripper.flush();
      out.push_back(text[at++]);
    } else {
      stripper.add(next_code_point(text, &at));
    }
  }
  stripper.flush();
  return out;
}

std::string lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto& lower = kAscii.lower;
  for (size_t at = 0; at < text.size();) {
    if (is_ascii(text[at])) {
      out.push_back(lower[index(text[at++])]);
    } else {
      append_lowercase(next_code_point(text, &at), &out);
    }
  }
  return out;
}

std::string normalize(std::string_view text, const NormalizerOptions& options) {
  std::string out = options.clean_text ? clean_text(text) : std::string(text);
  if (!is_ascii(out)) {  // the two steps in between leave ASCII as it is
    if (options.handle_chinese_chars) out = space_chinese(out);
    if (options.strip_accents) out = strip_accents(out);
  }
  return options.lowercase ? lowercase(out) : out;
}

bool WordSplitter::next(Word* word) {
  size_t start = at_;
  size_t code_points = 0;
  while (at_ < text_.size()) {
    const size_t here = at_;
    const Kind kind = kind_of(next_code_point(text_, &at_));
    if (kind == Kind::kLetter) {
      ++code_points;
      continue;
    }
    if (code_points > 0) {
      at_ = here;
      break;
    }
    if (kind == Kind::kPunctuation) {
      code_points = 1;
      break;
    }
    start = at_;
  }
  if (code_points == 0) return false;
  *word = {text_.substr(start, at_ - start), code_points};
  return true;
}

enum class WordReader::ByteKind : uint8_t { kPlain, kChanged, kSpace, kPunctuation };

// What each byte of a raw text is. A span of plain and changed bytes (every byte beyond ASCII is
// taken for one that changes) is normalised as it is within the whole text: ASCII spaces and
// punctuation stay as they are, part words, and part the marks that normalising sorts.
struct WordReader::ByteKinds {
  std::array<ByteKind, 256> of;

  constexpr ByteKinds(bool clean_text, bool lowercase) : of() {
    of.fill(ByteKind::kChanged);
    for (size_t i = 0; i < 128; ++i) {
      if (clean_text && kAscii.cleaned[i] == '\0') continue;
      if (lowercase && kAscii.lower[i] != static_cast<char>(i)) continue;
      of[i] = kAscii.kind[i] == Kind::kSpace         ? ByteKind::kSpace
              : kAscii.kind[i] == Kind::kPunctuation ? ByteKind::kPunctuation
                                                     : ByteKind::kPlain;
    }
  }
};

WordReader::WordReader(std::string_view text, const NormalizerOptions& options)
    : text_(text), options_(options) {
  static constexpr ByteKinds kKinds[2][2] = {{{false, false}, {false, true}},
                                             {{true, false}, {true, true}}};
  kinds_ = kKinds[options.clean_text ? 1 : 0][options.lowercase ? 1 : 0].of.data();
}

bool WordReader::next(WordSplitter::Word* word) {
  while (!splitter_.next(word)) {
    while (at_ < text_.size() && kind() == ByteKind::kSpace) ++at_;
    if (at_ == text_.size()) return false;
    const size_t start = at_;
    if (kind() == ByteKind::kPunctuation) {
      *word = {text_.substr(at_++, 1), 1};
      return true;
    }
    bool changed = false;
    for (; at_ < text_.size() && kind() <= ByteKind::kChanged; ++at_) {
      changed |= kind() == ByteKind::kChanged;
    }
    const std::string_view span = text_.substr(start, at_ - start);
    if (!changed) {
      *word = {span, span.size()};
      return true;
    }
    normalized_ = normalize(span, options_);
    splitter_ = WordSplitter(normalized_);
  }
  return true;
}

}  // namespace moecollab::text
