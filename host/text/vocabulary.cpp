#include "text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "text/unicode.h"

namespace moecollab::text {
namespace {

constexpr std::string_view kContinuation = "##";

}  // namespace

// Takes the file's bytes piece by piece, so that a file that is one endless line is refused without
// being held in memory.
class Vocabulary::Builder {
 public:
  explicit Builder(std::string name) : name_(std::move(name)) {}

  void add(std::string_view bytes) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      const std::string_view part = bytes.substr(0, end);
      if (line_.size() + part.size() > kMaxLineBytes) {
        fail(fmt::format("a line of over {} bytes", kMaxLineBytes));
      }
      line_ += part;
      if (end == std::string_view::npos) return;
      add_line();
      bytes.remove_prefix(end + 1);
    }
  }

  Vocabulary finish() {
    if (!line_.empty()) add_line();
    if (vocabulary_.tokens_.empty()) throw Error("E_VOCAB", name_ + ":1: the file is empty", kHint);
    vocabulary_.unknown_ = required("[UNK]");
    vocabulary_.classification_ = required("[CLS]");
    vocabulary_.separator_ = required("[SEP]");
    vocabulary_.padding_ = required("[PAD]");
    warn();
    return std::move(vocabulary_);
  }

 private:
  static constexpr const char* kHint =
      "copy vocab.txt again from the model that the encoder's weights belong to";

  int32_t line_number() const { return vocabulary_.size() + 1; }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error("E_VOCAB", fmt::format("{}:{}: {}", name_, line_number(), what), kHint);
  }

  void add_line() {
    size_t bad = 0;
    if (!is_utf8(line_, &bad)) fail(fmt::format("invalid UTF-8 at byte {} of the line", bad + 1));
    if (vocabulary_.size() == kMaxTokens) fail(fmt::format("more than {} tokens", kMaxTokens));
    if (line_.ends_with('\r') && first_crlf_ == 0) first_crlf_ = line_number();
    add_token(std::string(trim_end(line_)));
    line_.clear();
  }

  void add_token(std::string token) {
    const int32_t id = vocabulary_.size();
    const auto [entry, fresh] = vocabulary_.ids_.try_emplace(token, id);
    if (!fresh) {
      if (duplicates_++ == 0) {
        first_duplicate_ = fmt::format("`{}` stands on line {} and again on line {}",
                                       escaped(token, 80), entry->second + 1, line_number());
      }
      entry->second = id;
    }
    std::string_view piece = token;
    if (piece.starts_with(kContinuation)) {
      piece.remove_prefix(kContinuation.size());
      vocabulary_.continuations_.insert_or_assign(std::string(piece), id);
    }
    vocabulary_.longest_piece_ = std::max(vocabulary_.longest_piece_, piece.size());
    vocabulary_.tokens_.push_back(std::move(token));
  }

  int32_t required(const char* token) const {
    const int32_t id = vocabulary_.find(token);
    if (id == kAbsent) {
      throw Error("E_VOCAB",
                  fmt::format("{}: no line of {} is {}", name_, vocabulary_.size(), token), kHint);
    }
    return id;
  }

  void warn() {
    if (duplicates_ > 0) {
      vocabulary_.warnings_.push_back(
          fmt::format("{}: {}; the later id is used, as in the reference ({} such {})", name_,
                      first_duplicate_, duplicates_, duplicates_ == 1 ? "line" : "lines"));
    }
    if (first_crlf_ > 0) {
      vocabulary_.warnings_.push_back(
          fmt::format("{}:{}: CRLF line end; trimmed, as in the reference", name_, first_crlf_));
    }
  }

  std::string name_;
  std::string line_;
  Vocabulary vocabulary_;
  int64_t duplicates_ = 0;
  std::string first_duplicate_;
  int32_t first_crlf_ = 0;
};

Vocabulary Vocabulary::from_file(const fs::path& path) {
  Builder builder(path.string());
  for_each_chunk(path, "E_ENCODER", [&](std::string_view bytes) { builder.add(bytes); });
  return builder.finish();
}

Vocabulary Vocabulary::parse(std::string_view bytes, const std::string& name) {
  Builder builder(name);
  builder.add(bytes);
  return builder.finish();
}

}  // namespace moecollab::text
