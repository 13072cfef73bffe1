#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "text/tokenizer_files.h"
#include "text/unicode.h"

namespace moecollab::text {
namespace {

constexpr size_t kBytesPerToken = 4;  // of most texts; a guess for room

void require_max_length(int max_length, int least, const char* what) {
  if (max_length >= least) return;
  throw Error("E_CONFIG",
              fmt::format("max_length is {}, but {} needs at least {}", max_length, what, least),
              "raise max_length of [encoder] in registry.toml (default 256)");
}

// The reference's truncation "longest_first": how many of n1 and n2 tokens stay within `room`.
std::pair<size_t, size_t> longest_first(size_t n1, size_t n2, size_t room) {
  if (n1 + n2 <= room) return {n1, n2};
  const bool swapped = n1 > n2;
  if (swapped) std::swap(n1, n2);
  n2 = n1 > room ? n1 : std::max(n1, room - n1);
  if (n1 + n2 > room) {
    n1 = room / 2;
    n2 = n1 + room % 2;
  }
  if (swapped) std::swap(n1, n2);
  return {n1, n2};
}

std::vector<std::string> standard_special_tokens(const Vocabulary& vocabulary) {
  std::vector<std::string> found;
  for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    if (vocabulary.find(token) != Vocabulary::kAbsent) found.emplace_back(token);
  }
  return found;
}

}  // namespace

Tokenizer Tokenizer::from_folder(const fs::path& encoder_folder, SpecialTokens policy) {
  TokenizerFiles files = read_tokenizer_files(encoder_folder);
  return Tokenizer(std::move(files.vocabulary), files.normalizer, policy,
                   std::move(files.special_tokens));
}

Tokenizer::Tokenizer(Vocabulary vocabulary, NormalizerOptions options, SpecialTokens policy,
                     std::optional<std::vector<std::string>> special_tokens)
    : vocabulary_(std::move(vocabulary)), options_(options) {
  if (policy == SpecialTokens::kSplit) {
    if (!special_tokens) special_tokens = standard_special_tokens(vocabulary_);
    for (const std::string& token : *special_tokens) {
      specials_.push_back({token, vocabulary_.find(token)});
      special_starts_[static_cast<unsigned char>(token.front())] = true;
    }
    std::sort(specials_.begin(), specials_.end(), [](const Special& a, const Special& b) {
      return a.text.size() != b.text.size() ? a.text.size() > b.text.size() : a.text < b.text;
    });
  }
  fingerprint_ = compute_fingerprint();
}

std::string Tokenizer::compute_fingerprint() const {
  std::string content =
      fmt::format("moecollab BERT tokenizer 1\nclean {:d} chinese {:d} strip {:d} lower {:d}\n",
                  options_.clean_text, options_.handle_chinese_chars, options_.strip_accents,
                  options_.lowercase);
  content += fmt::format("special tokens {}\n", specials_.size());
  for (const Special& special : specials_) content.append(special.text).push_back('\n');
  for (int32_t id = 0; id < size(); ++id) content.append(token(id)).push_back('\n');
  return sha256_hex(content);
}

Tokenizer::Encoding Tokenizer::encode(std::string_view text, int max_length) const {
  require_max_length(max_length, 2, "a text");
  const size_t limit = static_cast<size_t>(max_length) - 1;  // all but the last [SEP]
  Encoding result;
  result.ids.reserve(std::min(static_cast<size_t>(max_length), text.size() / kBytesPerToken + 8));
  result.ids.push_back(vocabulary_.classification());
  append_text(text, limit, &result.ids);
  result.truncated = result.ids.size() > limit;
  if (result.truncated) result.ids.resize(limit);
  result.ids.push_back(vocabulary_.separator());
  return result;
}

Tokenizer::Encoding Tokenizer::encode_pair(std::string_view a, std::string_view b,
                                           int max_length) const {
  require_max_length(max_length, 3, "a pair of texts");
  std::vector<int32_t> first, second;
  append_text(a, SIZE_MAX, &first);
  append_text(b, SIZE_MAX, &second);
  const auto [n1, n2] =
      longest_first(first.size(), second.size(), static_cast<size_t>(max_length) - 3);

  Encoding result;
  result.truncated = n1 < first.size() || n2 < second.size();
  result.ids.reserve(n1 + n2 + 3);
  result.ids.push_back(vocabulary_.classification());
  result.ids.insert(result.ids.end(), first.begin(), first.begin() + static_cast<ptrdiff_t>(n1));
  result.ids.push_back(vocabulary_.separator());
  result.ids.insert(result.ids.end(), second.begin(), second.begin() + static_cast<ptrdiff_t>(n2));
  result.ids.push_back(vocabulary_.separator());
  result.type_ids.assign(n1 + 2, 0);
  result.type_ids.resize(result.ids.size(), 1);
  return result;
}

void Tokenizer::append_text(std::string_view text, size_t limit, std::vector<int32_t>* ids) const {
  std::string repaired;
  if (!is_ascii(text) && !is_utf8(text)) {
    repaired = repaired_utf8(text);
    text = repaired;
  }
  size_t from = 0;
  size_t at = 0;
  while (const Special* special = find_special(text, from, &at)) {
    append_plain(text.substr(from, at - from), limit, ids);
    if (ids->size() > limit) return;
    ids->push_back(special->id);
    from = at + special->text.size();
  }
  append_plain(text.substr(from), limit, ids);
}

const Tokenizer::Special* Tokenizer::find_special(std::string_view text, size_t from,
                                                  size_t* at) const {
  if (specials_.empty()) return nullptr;
  for (*at = from; *at < text.size(); ++*at) {
    if (!special_starts_[static_cast<unsigned char>(text[*at])]) continue;
    for (const Special& special : specials_) {
      if (text.substr(*at).starts_with(special.text)) return &special;
    }
  }
  return nullptr;
}

void Tokenizer::append_plain(std::string_view text, size_t limit, std::vector<int32_t>* ids) const {
  WordReader words(text, options_);
  WordSplitter::Word word;
  while (ids->size() <= limit && words.next(&word)) append_word(word, ids);
}

void Tokenizer::append_word(const WordSplitter::Word& word, std::vector<int32_t>* ids) const {
  if (word.code_points > kMaxWordCodePoints) {
    ids->push_back(vocabulary_.unknown());
    return;
  }
  const size_t before = ids->size();
  std::string_view rest = word.text;
  // Every token is whole UTF-8, so no piece ends within a code point.
  Trie::Match piece = vocabulary_.first_piece(rest);
  while (piece.value != Vocabulary::kAbsent) {
    ids->push_back(piece.value);
    rest.remove_prefix(piece.length);
    if (rest.empty()) return;
    piece = vocabulary_.next_piece(rest);
  }
  ids->resize(before);
  ids->push_back(vocabulary_.unknown());
}

}  // namespace moecollab::text
