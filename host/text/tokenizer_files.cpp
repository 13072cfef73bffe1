#include "text/tokenizer_files.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/fields.h"
#include "base/git_lfs.h"
#include "base/json.h"
#include "base/strings.h"
#include "text/unicode.h"

namespace moecollab::text {
namespace {

constexpr const char* kCode = "E_ENCODER";
constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr int kMaxDepth = 16;
constexpr const char* kKindHint =
    "only BERT encoders are supported: BertNormalizer, BertPreTokenizer and WordPiece";

[[noreturn]] void fail(const fs::path& file, const std::string& what, std::string hint = {}) {
  throw Error(kCode, fmt::format("{}: {}", file.string(), what), std::move(hint));
}

bool is_there(const fs::path& file) {
  std::error_code ignored;
  return fs::symlink_status(file, ignored).type() != fs::file_type::not_found;
}

// Reads tokenizer.json without keeping model.vocab, 98 % of the file: its entries are compared with
// vocab.txt as they pass by, or collected if there is no vocab.txt. The events are nlohmann's SAX.
class DocumentReader {
 public:
  // `lines`: vocab.txt, if there is one.
  DocumentReader(const fs::path& file, std::optional<Vocabulary> lines)
      : file_(file), lines_(std::move(lines)) {}

  Json read() {
    refuse_lfs_pointer(file_, kCode);
    const std::string bytes = read_file(file_, kCode, kMaxFileBytes);
    try {
      Json::sax_parse(bytes, this);
    } catch (const Json::exception& error) {
      fail(file_, fmt::format("not JSON: {}", escaped(error.what(), 160)));
    }
    return std::move(document_);
  }

  bool null() { return in_vocab_ ? add_entry(nullptr) : builder_.null(); }
  bool boolean(bool v) { return in_vocab_ ? add_entry(v) : builder_.boolean(v); }
  bool number_integer(int64_t v) { return in_vocab_ ? add_entry(v) : builder_.number_integer(v); }
  bool number_unsigned(uint64_t v) {
    return in_vocab_ ? add_entry(v) : builder_.number_unsigned(v);
  }
  bool number_float(double v, const std::string& s) {
    return in_vocab_ ? add_entry(v) : builder_.number_float(v, s);
  }
  bool string(std::string& v) { return in_vocab_ ? add_entry(nullptr) : builder_.string(v); }
  bool binary(Json::binary_t& v) { return builder_.binary(v); }  // not in text
  bool start_object(size_t n) { return open() || builder_.start_object(n); }
  bool start_array(size_t n) { return open() || builder_.start_array(n); }
  bool end_object() { return close() || builder_.end_object(); }
  bool end_array() { return close() || builder_.end_array(); }
  bool key(std::string& name) {
    if (depth_ <= kVocabDepth) keys_[static_cast<size_t>(depth_)] = name;
    return in_vocab_ || builder_.key(name);
  }
  bool parse_error(size_t position, const std::string& token, const Json::exception& error) {
    return builder_.parse_error(position, token, error);
  }

  // Once, after read(). Throws unless model.vocab is as vocab.txt, or a vocabulary of its own. A
  // step of its own, as a file of another kind of tokenizer is better refused for that.
  Vocabulary vocabulary() {
    if (!fault_.empty()) fail(file_, fault_, lines_ ? kMismatchHint : kKindHint);
    if (!lines_) {
      return Vocabulary::from_entries(std::move(entries_), file_.string() + ": model.vocab");
    }
    if (count_ < lines_->distinct()) {
      fail(file_,
           fmt::format("model.vocab holds {} tokens, vocab.txt {}", count_, lines_->distinct()),
           kMismatchHint);
    }
    return *std::move(lines_);
  }

 private:
  static constexpr const char* kMismatchHint = "take both files from the same model";

  static constexpr int kVocabDepth = 3;  // of the entries of model.vocab

  // Enters a container; true if it belongs to the vocabulary and is dealt with.
  bool open() {
    if (in_vocab_) add_entry(nullptr);
    if (++depth_ > kMaxDepth) fail(file_, fmt::format("nested deeper than {} levels", kMaxDepth));
    if (in_vocab_) return true;
    in_vocab_ = depth_ == kVocabDepth && keys_[1] == "model" && keys_[2] == "vocab";
    return false;
  }

  bool close() {
    --depth_;
    if (depth_ < kVocabDepth) in_vocab_ = false;
    return in_vocab_;
  }

  // Takes what model.vocab gives the last key; what is within a container there is nobody's.
  bool add_entry(const Json& id) {
    if (depth_ > kVocabDepth) return true;
    ++count_;
    if (lines_) {
      compare(keys_[kVocabDepth], id);
    } else {
      collect(keys_[kVocabDepth], id);
    }
    return true;
  }

  void compare(const std::string& token, const Json& id) {
    const int32_t line_id = lines_->find(token);
    if (!fault_.empty() || id == line_id) return;
    // Readers of vocab.txt differ over trailing white space; no text maps to such a token anyway.
    if (trim_end(token) != token) return;
    fault_ = fmt::format("model.vocab gives `{}` the id {}, vocab.txt {}", escaped(token, 80),
                         id.is_number() ? to_line(id) : "(no number)",
                         line_id == Vocabulary::kAbsent ? "none" : std::to_string(line_id));
  }

  void collect(const std::string& token, const Json& id) {
    if (!fault_.empty()) return;
    if (id.is_number_integer()) {
      entries_.push_back({token, id.get<int64_t>()});
    } else {
      fault_ = fmt::format("model.vocab gives `{}` the id {}, expected an integer",
                           escaped(token, 80), id.is_number() ? to_line(id) : "(no number)");
    }
  }

  const fs::path& file_;
  std::optional<Vocabulary> lines_;
  Json document_;
  nlohmann::detail::json_sax_dom_parser<Json> builder_{document_, /*allow_exceptions=*/true};
  int depth_ = 0;                                  // containers around
  std::array<std::string, kVocabDepth + 1> keys_;  // by depth
  bool in_vocab_ = false;
  int64_t count_ = 0;
  std::vector<Vocabulary::Entry> entries_;
  std::string fault_;  // the first one
};

Fields section(Fields& parent, const std::string& key) {
  std::optional<Fields> found = parent.table(key);
  if (!found) parent.fail(key, "is missing", kKindHint);
  return *std::move(found);
}

template <typename T>
void require_value(Fields& fields, const std::string& key, const T& expected) {
  const T value = fields.required<T>(key);
  if (value != expected) {
    fields.fail(key,
                fmt::format("is {}, but a BERT tokenizer has {}", escaped(to_line(value), 80),
                            to_line(expected)),
                kKindHint);
  }
}

// null and an absent key mean: as `lowercase` says.
bool read_strip_accents(Fields& fields, bool lowercase) {
  const Json flag = fields.any("strip_accents");
  return flag.is_null() ? lowercase : fields.required<bool>("strip_accents");
}

NormalizerOptions read_normalizer(Fields& document) {
  Fields fields = section(document, "normalizer");
  require_value<std::string>(fields, "type", "BertNormalizer");
  NormalizerOptions options;
  options.clean_text = fields.required<bool>("clean_text");
  options.handle_chinese_chars = fields.required<bool>("handle_chinese_chars");
  options.lowercase = fields.required<bool>("lowercase");
  options.strip_accents = read_strip_accents(fields, options.lowercase);
  return options;
}

void check_model(Fields& document) {
  Fields fields = section(document, "model");
  // Files from before 2021 have no type; these keys tell as much.
  if (!fields.any("type").is_null()) require_value<std::string>(fields, "type", "WordPiece");
  require_value<std::string>(fields, "unk_token", "[UNK]");
  require_value<std::string>(fields, "continuing_subword_prefix", "##");
  require_value<int64_t>(fields, "max_input_chars_per_word",
                         static_cast<int64_t>(kMaxWordCodePoints));
}

// "[CLS]:0 A:0 [SEP]:0" for a list of {"SpecialToken" or "Sequence": {"id", "type_id"}}.
std::string template_text(const Json& pieces) {
  std::vector<std::string> parts;
  for (const Json& piece : pieces) {
    const Json& body = piece.contains("Sequence") ? piece.at("Sequence") : piece.at("SpecialToken");
    parts.push_back(fmt::format("{}:{}", body.at("id").get_ref<const std::string&>(),
                                body.at("type_id").get<int64_t>()));
  }
  return join(parts, " ");
}

void check_template(Fields& fields, const std::string& key, std::string_view expected) {
  std::string found;
  try {
    found = template_text(fields.any(key));
  } catch (const Json::exception& error) {
    fields.fail(key, fmt::format("is no template: {}", escaped(error.what(), 160)), kKindHint);
  }
  if (found != expected) {
    fields.fail(key, fmt::format("is {}, but BERT's is {}", escaped(found), expected), kKindHint);
  }
}

void check_post_processor(Fields& document) {
  Fields fields = section(document, "post_processor");
  if (fields.any("type") == "BertProcessing") return;
  require_value<std::string>(fields, "type", "TemplateProcessing");
  check_template(fields, "single", "[CLS]:0 A:0 [SEP]:0");
  check_template(fields, "pair", "[CLS]:0 A:0 [SEP]:0 B:1 [SEP]:1");
}

std::vector<std::string> read_special_tokens(Fields& document, const Vocabulary& vocabulary,
                                             bool from_lines) {
  std::vector<std::string> tokens;
  for (Fields& entry : document.tables("added_tokens")) {
    const auto content = entry.required<std::string>("content");
    const auto id = entry.required<int64_t>("id");
    if (content.empty() || vocabulary.find(content) != id) {
      entry.fail(
          "content",
          from_lines
              ? fmt::format("`{}` is not line {} of vocab.txt", escaped(content, 80), id + 1)
              : fmt::format("`{}` has not the id {} in model.vocab", escaped(content, 80), id),
          "tokens added after training are not supported");
    }
    require_value(entry, "special", true);
    for (const char* flag : {"normalized", "single_word", "lstrip", "rstrip"}) {
      require_value(entry, flag, false);
    }
    tokens.push_back(content);
  }
  return tokens;
}

TokenizerFiles from_tokenizer_json(const fs::path& file, std::optional<Vocabulary> lines) {
  const bool from_lines = lines.has_value();
  DocumentReader reader(file, std::move(lines));
  Fields document(reader.read(), {file.string(), kCode});
  check_model(document);
  const NormalizerOptions normalizer = read_normalizer(document);
  Fields splitter = section(document, "pre_tokenizer");
  require_value<std::string>(splitter, "type", "BertPreTokenizer");
  check_post_processor(document);
  Vocabulary vocabulary = reader.vocabulary();
  std::vector<std::string> special_tokens = read_special_tokens(document, vocabulary, from_lines);
  return {std::move(vocabulary), normalizer, std::move(special_tokens)};
}

// The names and defaults of transformers' BertTokenizer, but for do_lower_case: a wrong guess there
// would go unnoticed and cost accuracy, so the file has to say.
TokenizerFiles from_tokenizer_config(const fs::path& file, Vocabulary vocabulary) {
  refuse_lfs_pointer(file, kCode);
  Json content;
  try {
    content = parse_json(read_file(file, kCode, kMaxFileBytes), kMaxDepth);
  } catch (const std::invalid_argument& error) {
    fail(file, error.what());
  }
  Fields fields(content, {file.string(), kCode});
  const auto kind = fields.value_or<std::string>("tokenizer_class", "BertTokenizer");
  if (kind != "BertTokenizer" && kind != "BertTokenizerFast") {
    fields.fail("tokenizer_class", fmt::format("is {}", escaped(kind, 80)), kKindHint);
  }
  NormalizerOptions normalizer;
  normalizer.lowercase = fields.required<bool>("do_lower_case");
  normalizer.handle_chinese_chars = fields.value_or("tokenize_chinese_chars", true);
  normalizer.strip_accents = read_strip_accents(fields, normalizer.lowercase);
  return {std::move(vocabulary), normalizer, std::nullopt};
}

// Files of tokenizers of another kind, as their models have them.
std::string other_kind_in(const fs::path& folder) {
  for (const auto& [file, kind] : {std::pair{"vocab.json", "BPE"},
                                   {"merges.txt", "BPE"},
                                   {"sentencepiece.bpe.model", "SentencePiece"},
                                   {"spiece.model", "SentencePiece"},
                                   {"tokenizer.model", "SentencePiece"}}) {
    if (is_there(folder / file)) return fmt::format(", but {}, of a {} tokenizer", file, kind);
  }
  return {};
}

}  // namespace

TokenizerFiles read_tokenizer_files(const fs::path& encoder_folder) {
  const fs::path lines = encoder_folder / "vocab.txt";
  const fs::path whole = encoder_folder / "tokenizer.json";
  const fs::path config = encoder_folder / "tokenizer_config.json";
  if (!is_there(lines)) {
    if (is_there(whole)) return from_tokenizer_json(whole, std::nullopt);
    const std::string other = other_kind_in(encoder_folder);
    fail(encoder_folder, "the folder holds neither vocab.txt nor tokenizer.json" + other,
         other.empty() ? "copy one of them from the model" : kKindHint);
  }
  Vocabulary vocabulary = Vocabulary::from_file(lines);
  if (is_there(whole)) return from_tokenizer_json(whole, std::move(vocabulary));
  if (is_there(config)) return from_tokenizer_config(config, std::move(vocabulary));
  fail(encoder_folder, "the folder holds neither tokenizer.json nor tokenizer_config.json",
       "copy one of them from the model: it says whether text is lowercased");
}

}  // namespace moecollab::text
