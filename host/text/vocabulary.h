// A WordPiece vocabulary: vocab.txt of a BERT model, or model.vocab of its tokenizer.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "text/trie.h"

namespace moecollab::text {

// A word of more code points (after normalisation) is one [UNK]: max_input_chars_per_word of every
// BERT.
inline constexpr size_t kMaxWordCodePoints = 100;

// Tokens by id and ids by token. Immutable; const members are thread-safe.
//
// One token per line, the line's index (from 0) is its id; trailing white space is trimmed as the
// reference does. Of a token that stands twice, text maps to the later line.
class Vocabulary {
 public:
  static constexpr size_t kMaxLineBytes = 4096;
  static constexpr int32_t kMaxTokens = 1 << 22;
  static constexpr int64_t kMaxBytes = int64_t{64} << 20;  // of all tokens
  static constexpr int32_t kAbsent = Trie::kAbsent;

  // Throws E_ENCODER if the file cannot be read, and E_VOCAB, with the line if there is one, for
  // an empty file, a line over kMaxLineBytes, invalid UTF-8, more than kMaxTokens lines or
  // kMaxBytes, or if [UNK], [CLS], [SEP] or [PAD] is missing.
  static Vocabulary from_file(const fs::path& path);
  // The same from memory; `name` stands for the file in messages.
  static Vocabulary parse(std::string_view bytes, const std::string& name);

  struct Entry {
    std::string token;  // UTF-8
    int64_t id;
  };
  // From model.vocab of tokenizer.json, in any order; `name` stands for it in messages. Gives what
  // vocab.txt of the same tokens gives. An id without a token, which is what a line is whose token
  // stands again later, is like an empty line: no text maps to it. Throws E_VOCAB for what
  // from_file refuses, a negative id, an id of two tokens, or a token with a line end, which
  // vocab.txt cannot hold.
  static Vocabulary from_entries(std::vector<Entry> entries, const std::string& name);

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  // Tokens that text can map to: size() less the lines whose token stands again later.
  int32_t distinct() const { return static_cast<int32_t>(trie_.size()); }
  // Precondition: 0 <= id < size().
  const std::string& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }

  // The id of a token as it stands in the file, or kAbsent.
  int32_t find(std::string_view token) const { return trie_.value(trie_.find(token)); }
  // The longest token that `word` starts with, and its bytes in the word; kAbsent if there is none.
  // It is never one of the continuations: '#' is punctuation, so no word of several characters
  // starts with it.
  Trie::Match first_piece(std::string_view word) const { return trie_.longest(Trie::root(), word); }
  // The same for the rest of a word: the longest start of `rest` that is a token after "##".
  Trie::Match next_piece(std::string_view rest) const { return trie_.longest(inside_, rest); }

  int32_t unknown() const { return unknown_; }
  int32_t classification() const { return classification_; }
  int32_t separator() const { return separator_; }
  int32_t padding() const { return padding_; }

  // What was accepted as the reference accepts it, but is likely a mistake: one sentence each for
  // tokens that stand twice and for CRLF line ends.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  class Builder;

  std::vector<std::string> tokens_;
  Trie trie_;              // ids by token
  Trie::Node inside_ = 0;  // the node of "##"
  int32_t unknown_ = kAbsent, classification_ = kAbsent, separator_ = kAbsent, padding_ = kAbsent;
  std::vector<std::string> warnings_;
};

}  // namespace moecollab::text
