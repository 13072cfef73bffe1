#include "text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/git_lfs.h"
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
  enum class Source { kLines, kEntries };
  explicit Builder(std::string name, Source source = Source::kLines)
      : name_(std::move(name)), source_(source) {}

  void add(std::string_view bytes) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      const std::string_view part = bytes.substr(0, end);
      if (begun_.size() + part.size() > kMaxLineBytes) {
        fail(fmt::format("a line of over {} bytes", kMaxLineBytes));
      }
      if (end == std::string_view::npos) {
        begun_ += part;
        return;
      }
      if (begun_.empty()) {
        add_line(part);
      } else {
        begun_ += part;
        add_line(begun_);
        begun_.clear();
      }
      bytes.remove_prefix(end + 1);
    }
  }

  void add(Entry entry) {
    const std::string token = escaped(entry.token, 80);
    const auto refuse = [&](const std::string& what) {
      throw Error("E_VOCAB", fmt::format("{}: {}", name_, what), hint());
    };
    if (entry.id < vocabulary_.size()) {
      refuse(entry.id < 0 ? fmt::format("`{}` has the id {}", token, entry.id)
                          : fmt::format("`{}` and `{}` have the same id {}",
                                        escaped(vocabulary_.tokens_.back(), 80), token, entry.id));
    }
    if (entry.id >= kMaxTokens) {
      refuse(fmt::format("`{}` has the id {}, more than the {} tokens allowed", token, entry.id,
                         kMaxTokens));
    }
    if (entry.token.size() > kMaxLineBytes) {
      refuse(fmt::format("the token `{}` has over {} bytes", token, kMaxLineBytes));
    }
    if (entry.token.find('\n') != std::string::npos) {
      refuse(fmt::format("the token `{}` holds a line end", token));
    }
    vocabulary_.tokens_.resize(static_cast<size_t>(entry.id));
    // A line's trailing white space is trimmed; with it, it is a token that no text maps to.
    if (trim_end(entry.token) == entry.token) {
      add_token(std::move(entry.token));
    } else {
      vocabulary_.tokens_.emplace_back(trim_end(entry.token));
    }
  }

  Vocabulary finish() {
    if (!begun_.empty()) add_line(begun_);
    if (vocabulary_.tokens_.empty()) {
      throw Error("E_VOCAB",
                  name_ + (source_ == Source::kLines ? ":1: the file is empty" : ": it is empty"),
                  hint());
    }
    index();
    vocabulary_.unknown_ = required("[UNK]");
    vocabulary_.classification_ = required("[CLS]");
    vocabulary_.separator_ = required("[SEP]");
    vocabulary_.padding_ = required("[PAD]");
    warn();
    return std::move(vocabulary_);
  }

 private:
  std::string hint() const {
    return fmt::format("copy {} again from the model that the encoder's weights belong to",
                       source_ == Source::kLines ? "vocab.txt" : "tokenizer.json");
  }

  int32_t line_number() const { return vocabulary_.size() + 1; }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error("E_VOCAB", fmt::format("{}:{}: {}", name_, line_number(), what), hint());
  }

  void add_line(std::string_view line) {
    size_t bad = 0;
    if (!is_utf8(line, &bad)) fail(fmt::format("invalid UTF-8 at byte {} of the line", bad + 1));
    if (vocabulary_.size() == kMaxTokens) fail(fmt::format("more than {} tokens", kMaxTokens));
    if (line.ends_with('\r') && first_crlf_ == 0) first_crlf_ = line_number();
    add_token(std::string(trim_end(line)));
  }

  void add_token(std::string token) {
    bytes_ += static_cast<int64_t>(token.size());
    if (bytes_ > kMaxBytes) {
      throw Error("E_VOCAB",
                  fmt::format("{}: the first {} tokens have over {} bytes together", name_,
                              vocabulary_.size() + 1, kMaxBytes),
                  hint());
    }
    findable_.push_back(vocabulary_.size());
    vocabulary_.tokens_.push_back(std::move(token));
  }

  // Gives text its way to the tokens. Of equal ones, text maps to the last.
  void index() {
    std::vector<Trie::Entry> entries;
    entries.reserve(findable_.size());
    for (const int32_t id : findable_) entries.push_back({vocabulary_.token(id), id});
    vocabulary_.trie_ = Trie(std::move(entries));
    vocabulary_.inside_ = vocabulary_.trie_.find(kContinuation);
    if (vocabulary_.trie_.size() < findable_.size()) count_duplicates();
  }

  void count_duplicates() {
    // By the id that text maps to: the last line so far that has its token.
    std::vector<int32_t> earlier(vocabulary_.tokens_.size(), kAbsent);
    for (const int32_t id : findable_) {
      int32_t& line = earlier[static_cast<size_t>(vocabulary_.find(vocabulary_.token(id)))];
      if (line != kAbsent && duplicates_++ == 0) first_duplicate_ = {line, id};
      line = id;
    }
  }

  int32_t required(const char* token) const {
    const int32_t id = vocabulary_.find(token);
    if (id == kAbsent) {
      throw Error(
          "E_VOCAB",
          fmt::format("{}: no {} of {} is {}", name_, source_ == Source::kLines ? "line" : "token",
                      vocabulary_.size(), token),
          hint());
    }
    return id;
  }

  void warn() {
    if (duplicates_ > 0) {
      const auto [earlier, later] = first_duplicate_;
      vocabulary_.warnings_.push_back(fmt::format(
          "{}: `{}` stands on line {} and again on line {}; the later id is used, as in "
          "the reference ({} such {})",
          name_, escaped(vocabulary_.token(later), 80), earlier + 1, later + 1, duplicates_,
          duplicates_ == 1 ? "line" : "lines"));
    }
    if (first_crlf_ > 0) {
      vocabulary_.warnings_.push_back(
          fmt::format("{}:{}: CRLF line end; trimmed, as in the reference", name_, first_crlf_));
    }
  }

  std::string name_;
  Source source_;
  std::string begun_;  // a line whose end has not been seen
  Vocabulary vocabulary_;
  int64_t bytes_ = 0;
  std::vector<int32_t> findable_;  // ids that text can map to, and those that a later line hides
  int32_t duplicates_ = 0;
  std::pair<int32_t, int32_t> first_duplicate_;  // earlier and later id
  int32_t first_crlf_ = 0;
};

Vocabulary Vocabulary::from_file(const fs::path& path) {
  refuse_lfs_pointer(path, "E_VOCAB");
  Builder builder(path.string());
  for_each_chunk(path, "E_ENCODER", [&](std::string_view bytes) { builder.add(bytes); });
  return builder.finish();
}

Vocabulary Vocabulary::parse(std::string_view bytes, const std::string& name) {
  Builder builder(name);
  builder.add(bytes);
  return builder.finish();
}

Vocabulary Vocabulary::from_entries(std::vector<Entry> entries, const std::string& name) {
  std::ranges::sort(entries, {}, &Entry::id);
  Builder builder(name, Builder::Source::kEntries);
  for (Entry& entry : entries) builder.add(std::move(entry));
  return builder.finish();
}

}  // namespace moecollab::text
