// BERT's text normalisation and its split into words, as in the reference tokenizer (Hugging Face
// tokenizers, normalizers/bert.rs and pre_tokenizers/bert.rs).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moecollab::text {

struct NormalizerOptions {
  bool clean_text = true;            // drop control characters, make all white space ' '
  bool handle_chinese_chars = true;  // surround CJK ideographs with spaces
  bool strip_accents = true;         // decompose (NFD) and drop nonspacing marks
  bool lowercase = true;

  friend bool operator==(const NormalizerOptions&, const NormalizerOptions&) = default;
};

// Every function below takes and returns UTF-8; ill-formed input counts as U+FFFD per maximal part
// (make it explicit once with repaired_utf8). All are linear in the length of the text, but for
// the sort of marks that follow one another.

// `text` with U+FFFD in place of what is not UTF-8.
std::string repaired_utf8(std::string_view text);

// Step 1: drops U+0000, U+FFFD and the categories Cc, Cf, Co but \t \n \r; then white space to ' '.
// As dropping comes first, U+000B, U+000C and U+0085 join their neighbours.
std::string clean_text(std::string_view text);
// Step 2: " c " for each ideograph c.
std::string space_chinese(std::string_view text);
// Step 3: NFD without its nonspacing marks, not recomposed (Hangul stays as Jamo).
std::string strip_accents(std::string_view text);
// Step 4: lower case, each code point alone.
std::string lowercase(std::string_view text);

// Steps 1 to 4, those that `options` names, in this order.
std::string normalize(std::string_view text, const NormalizerOptions& options);

// Step 5: walks over the words of a normalised text: white space parts them, and each punctuation
// character is a word of its own.
class WordSplitter {
 public:
  struct Word {
    std::string_view text;  // into the splitter's text
    size_t code_points = 0;
  };

  explicit WordSplitter(std::string_view text) : text_(text) {}

  // Moves to the next word; false at the end, and `word` is then as before.
  bool next(Word* word);

 private:
  std::string_view text_;
  size_t at_ = 0;
};

// Walks over the words of normalize(text, options), as WordSplitter does, but normalises one span
// of the text at a time, and only if that changes it: most words are views into `text`.
class WordReader {
 public:
  WordReader(std::string_view text, const NormalizerOptions& options);
  WordReader(const WordReader&) = delete;
  WordReader& operator=(const WordReader&) = delete;

  // As WordSplitter::next(); the word is good until the next call.
  bool next(WordSplitter::Word* word);

 private:
  enum class ByteKind : uint8_t;
  struct ByteKinds;

  ByteKind kind() const { return kinds_[static_cast<unsigned char>(text_[at_])]; }

  std::string_view text_;
  NormalizerOptions options_;
  const ByteKind* kinds_;  // by byte
  size_t at_ = 0;
  std::string normalized_;     // the last span that had to be changed
  WordSplitter splitter_{{}};  // of it
};

}  // namespace moecollab::text
