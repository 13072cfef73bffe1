// The BERT tokenizer: text to token ids, equal to those of Hugging Face's `tokenizers`.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "text/normalizer.h"
#include "text/vocabulary.h"

namespace moecollab::text {

// What "[SEP]" in a user's text means.
enum class SpecialTokens {
  kSplit,    // the special token, as Hugging Face does by default
  kLiteral,  // seven characters like any others; for untrusted text
};

// Immutable; const members are thread-safe.
class Tokenizer {
 public:
  struct Encoding {
    std::vector<int32_t> ids;
    std::vector<int32_t> type_ids;  // of a pair: 0 for [CLS] a [SEP], 1 for b [SEP]; else empty
    bool truncated = false;         // whether tokens were left out for max_length
  };

  // Reads what read_tokenizer_files() reads. Throws E_ENCODER naming the file if one is missing,
  // unreadable, not JSON, or asks for what this tokenizer does not do; E_VOCAB as Vocabulary does.
  static Tokenizer from_folder(const fs::path& encoder_folder, SpecialTokens policy);

  // Special tokens are the given ones, each not empty and in the vocabulary; if none are given,
  // those of [PAD] [UNK] [CLS] [SEP] [MASK] that the vocabulary holds.
  Tokenizer(Vocabulary vocabulary, NormalizerOptions options, SpecialTokens policy,
            std::optional<std::vector<std::string>> special_tokens = std::nullopt);

  // [CLS] text [SEP], cut on the right to `max_length` ids. Throws E_CONFIG if max_length < 2.
  Encoding encode(std::string_view text, int max_length) const;
  // [CLS] a [SEP] b [SEP]; the longer text is cut first. Throws E_CONFIG if max_length < 3.
  Encoding encode_pair(std::string_view a, std::string_view b, int max_length) const;

  // Precondition: 0 <= id < size().
  const std::string& token(int32_t id) const { return vocabulary_.token(id); }
  int size() const { return vocabulary_.size(); }
  const Vocabulary& vocabulary() const { return vocabulary_; }
  const NormalizerOptions& options() const { return options_; }

  // SHA-256 (hex) of all that decides which ids a text gets: the vocabulary, the normaliser's
  // options, the special tokens and what they mean in text.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  struct Special {
    std::string text;
    int32_t id;
  };

  // Each appends to `ids` and may stop as soon as that holds more than `limit`.
  void append_text(std::string_view text, size_t limit, std::vector<int32_t>* ids) const;
  void append_plain(std::string_view text, size_t limit, std::vector<int32_t>* ids) const;
  void append_word(const WordSplitter::Word& word, std::vector<int32_t>* ids) const;

  // The special token that stands in `text` first from `from` on, the longest of several; null if
  // none. `*at` receives where.
  const Special* find_special(std::string_view text, size_t from, size_t* at) const;
  std::string compute_fingerprint() const;

  Vocabulary vocabulary_;
  NormalizerOptions options_;
  std::vector<Special> specials_;              // to split at, longest first; none if literal
  std::array<bool, 256> special_starts_ = {};  // their first bytes
  std::string fingerprint_;
};

}  // namespace moecollab::text
