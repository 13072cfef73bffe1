#include <gmock/gmock.h>

#include "unit/text/support.h"

namespace moecollab::text {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kVocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nx\nX\n##y\n\u00E9\n";

Json special_token(const std::string& content, int id) {
  return {{"id", id},        {"special", true}, {"content", content}, {"single_word", false},
          {"lstrip", false}, {"rstrip", false}, {"normalized", false}};
}

// A tokenizer.json for kVocabulary.
Json good_document() {
  const auto special = [](const char* id, int type) {
    return Json{{"SpecialToken", {{"id", id}, {"type_id", type}}}};
  };
  const auto sequence = [](const char* id, int type) {
    return Json{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  Json document;
  document["added_tokens"] = Json::array({special_token("[SEP]", 3)});
  document["normalizer"] = {{"type", "BertNormalizer"},
                            {"clean_text", true},
                            {"handle_chinese_chars", false},
                            {"strip_accents", nullptr},
                            {"lowercase", false}};
  document["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  document["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)})},
      {"pair", Json::array({special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0),
                            sequence("B", 1), special("[SEP]", 1)})}};
  document["model"] = {{"type", "WordPiece"},
                       {"unk_token", "[UNK]"},
                       {"continuing_subword_prefix", "##"},
                       {"max_input_chars_per_word", 100},
                       {"vocab",
                        {{"[PAD]", 0},
                         {"[UNK]", 1},
                         {"[CLS]", 2},
                         {"[SEP]", 3},
                         {"x", 4},
                         {"X", 5},
                         {"##y", 6},
                         {"\u00E9", 7}}}};
  return document;
}

class TokenizerFolder : public testing::Test {
 protected:
  TokenizerFolder() { write("vocab.txt", kVocabulary); }

  void write(const char* name, std::string_view bytes) { write_file_atomic(path(name), bytes); }
  fs::path path(const char* name) const { return folder_.path() / name; }
  Tokenizer load() const { return Tokenizer::from_folder(folder_.path(), SpecialTokens::kSplit); }

  // "code message" of the refusal.
  std::string refusal() const {
    const auto error = error_of([&] { load(); });
    return error ? error->code() + " " + error->what() : "accepted";
  }

  // The refusal of a tokenizer.json where the value at `pointer` is `value`.
  std::string refusal_with(const char* pointer, const Json& value) {
    Json document = good_document();
    document[Json::json_pointer(pointer)] = value;
    write("tokenizer.json", to_line(document));
    return refusal();
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(TokenizerFolder, ReadsTokenizerJson) {
  write("tokenizer.json", to_text(good_document()));
  write("tokenizer_config.json", "not looked at");
  const Tokenizer tokenizer = load();
  EXPECT_EQ(tokenizer.options(), (NormalizerOptions{true, false, false, false}));
  EXPECT_EQ(tokenizer.size(), 8);
  // [SEP] is an added token of the file, [UNK] is not.
  EXPECT_THAT(tokens_of(tokenizer, "x[SEP]X[UNK]"),
              ElementsAre("[CLS]", "x", "[SEP]", "X", "[UNK]", "[UNK]", "[UNK]", "[SEP]"));
}

TEST_F(TokenizerFolder, StripAccentsIsAsLowercaseUnlessSet) {
  const auto stripped = [&](const Json& strip, bool lower) {
    Json document = good_document();
    document["normalizer"]["strip_accents"] = strip;
    document["normalizer"]["lowercase"] = lower;
    write("tokenizer.json", to_line(document));
    return load().options().strip_accents;
  };
  EXPECT_TRUE(stripped(nullptr, true));
  EXPECT_FALSE(stripped(nullptr, false));
  EXPECT_TRUE(stripped(true, false));
  EXPECT_FALSE(stripped(false, true));
}

TEST_F(TokenizerFolder, TakesOlderFormsOfTokenizerJson) {
  Json document = good_document();
  document["model"].erase("type");
  document["post_processor"] = {
      {"type", "BertProcessing"}, {"sep", {"[SEP]", 3}}, {"cls", {"[CLS]", 2}}};
  write("tokenizer.json", to_line(document));
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(TokenizerFolder, FallsBackToTokenizerConfig) {
  write("tokenizer_config.json",
        R"({"do_lower_case": true, "tokenize_chinese_chars": false, "cls_token": "[CLS]"})");
  const Tokenizer tokenizer = load();
  EXPECT_EQ(tokenizer.options(), (NormalizerOptions{true, false, true, true}));
  EXPECT_THAT(tokens_of(tokenizer, "X[UNK]"), ElementsAre("[CLS]", "x", "[UNK]", "[SEP]"));
  write(
      "tokenizer_config.json",
      R"({"do_lower_case": false, "strip_accents": true, "tokenizer_class": "BertTokenizerFast"})");
  EXPECT_EQ(load().options(), (NormalizerOptions{true, true, true, false}));
}

TEST_F(TokenizerFolder, RefusesAMissingFile) {
  EXPECT_THAT(refusal(), AllOf(HasSubstr("E_ENCODER"), HasSubstr(path("").parent_path().string()),
                               HasSubstr("neither tokenizer.json nor tokenizer_config.json")));
  fs::remove(path("vocab.txt"));
  write("tokenizer_config.json", R"({"do_lower_case": true})");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("E_ENCODER"), HasSubstr(path("").parent_path().string()),
                               HasSubstr("neither vocab.txt nor tokenizer.json")));
  write("merges.txt", "");
  EXPECT_THAT(refusal(), HasSubstr("but merges.txt, of a BPE tokenizer"));
}

TEST_F(TokenizerFolder, RefusesAnUnreadableFileRatherThanTryingTheNext) {
  write("tokenizer_config.json", R"({"do_lower_case": true})");
  fs::create_symlink("nowhere", path("tokenizer.json"));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("E_ENCODER"), HasSubstr(path("tokenizer.json").string())));
  fs::remove(path("tokenizer.json"));
  fs::create_directory(path("tokenizer.json"));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("E_ENCODER"), HasSubstr(path("tokenizer.json").string())));
}

TEST_F(TokenizerFolder, RefusesWhatIsNotJson) {
  const std::string good = to_line(good_document());
  for (const std::string& bytes : {std::string(), good.substr(0, good.size() / 2), good + "x",
                                   std::string("{\"a\": \"\xFF\"}"), std::string("[1]")}) {
    write("tokenizer.json", bytes);
    EXPECT_THAT(refusal(),
                AllOf(HasSubstr("E_ENCODER"), HasSubstr(path("tokenizer.json").string())));
  }
  write("tokenizer.json", std::string(100000, '['));
  EXPECT_THAT(refusal(), HasSubstr("nested deeper than"));
  fs::remove(path("tokenizer.json"));
  write("tokenizer_config.json", R"({"do_lower_case": true, "do_lower_case": false})");
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("E_ENCODER"), HasSubstr(path("tokenizer_config.json").string()),
                    HasSubstr("stands twice")));
}

TEST_F(TokenizerFolder, RefusesAnotherKindOfTokenizer) {
  EXPECT_THAT(refusal_with("/normalizer/type", "NFC"),
              AllOf(HasSubstr("E_ENCODER"), HasSubstr("`normalizer.type`"), HasSubstr("\"NFC\"")));
  EXPECT_THAT(refusal_with("/normalizer", nullptr),
              AllOf(HasSubstr("E_ENCODER"), HasSubstr("`normalizer`")));
  EXPECT_THAT(refusal_with("/normalizer/lowercase", "yes"), HasSubstr("`normalizer.lowercase`"));
  EXPECT_THAT(refusal_with("/normalizer/strip_accents", 1),
              HasSubstr("`normalizer.strip_accents`"));
  EXPECT_THAT(refusal_with("/pre_tokenizer/type", "ByteLevel"), HasSubstr("`pre_tokenizer.type`"));
  EXPECT_THAT(refusal_with("/model/type", "BPE"), HasSubstr("`model.type`"));
  EXPECT_THAT(refusal_with("/model/unk_token", "<unk>"), HasSubstr("`model.unk_token`"));
  EXPECT_THAT(refusal_with("/model/continuing_subword_prefix", "@@"),
              HasSubstr("`model.continuing_subword_prefix`"));
  EXPECT_THAT(refusal_with("/model/max_input_chars_per_word", 200),
              HasSubstr("`model.max_input_chars_per_word`"));
  EXPECT_THAT(refusal_with("/post_processor/type", "RobertaProcessing"),
              HasSubstr("`post_processor.type`"));
  EXPECT_THAT(refusal_with("/post_processor/single/0/SpecialToken/id", "<s>"),
              HasSubstr("<s>:0 A:0 [SEP]:0"));
  EXPECT_THAT(refusal_with("/post_processor/pair", "none"), HasSubstr("`post_processor.pair`"));
}

TEST_F(TokenizerFolder, RefusesAddedTokensThatItWouldNotMatchAsTheReference) {
  EXPECT_THAT(refusal_with("/added_tokens/0/normalized", true),
              HasSubstr("`added_tokens[0].normalized`"));
  EXPECT_THAT(refusal_with("/added_tokens/0/special", false),
              HasSubstr("`added_tokens[0].special`"));
  EXPECT_THAT(refusal_with("/added_tokens/0/lstrip", true), HasSubstr("`added_tokens[0].lstrip`"));
  EXPECT_THAT(refusal_with("/added_tokens/0/id", 2),
              HasSubstr("`[SEP]` is not line 3 of vocab.txt"));
  EXPECT_THAT(refusal_with("/added_tokens/0/content", "[NEW]"), HasSubstr("`[NEW]` is not line 4"));
  EXPECT_THAT(refusal_with("/added_tokens/0/content", ""), HasSubstr("E_ENCODER"));
}

TEST_F(TokenizerFolder, RefusesAVocabularyOtherThanVocabTxt) {
  EXPECT_THAT(refusal_with("/model/vocab/x", 5),
              AllOf(HasSubstr("E_ENCODER"), HasSubstr("gives `x` the id 5, vocab.txt 4")));
  EXPECT_THAT(refusal_with("/model/vocab/z", 8), HasSubstr("gives `z` the id 8, vocab.txt none"));
  EXPECT_THAT(refusal_with("/model/vocab/x", Json::object()),
              HasSubstr("gives `x` the id (no number)"));
  EXPECT_THAT(refusal_with("/model/vocab", Json::object()),
              HasSubstr("holds 0 tokens, vocab.txt 8"));
  EXPECT_THAT(refusal_with("/model/vocab", nullptr), HasSubstr("holds 0 tokens, vocab.txt 8"));
}

// As transformers 5 saves it: no vocab.txt.
TEST_F(TokenizerFolder, TokenizerJsonAloneIsAsBoth) {
  write("tokenizer.json", to_line(good_document()));
  const Tokenizer both = load();
  fs::remove(path("vocab.txt"));
  const Tokenizer alone = load();
  EXPECT_EQ(alone.fingerprint(), both.fingerprint());
  EXPECT_EQ(alone.size(), 8);
  for (const char* text : {"x", "xy[SEP]X", "\u00E9 x", "nothing"}) {
    EXPECT_EQ(alone.encode(text, 16).ids, both.encode(text, 16).ids) << text;
  }
}

// vocab.txt with `x` on two lines, of which transformers writes the later one into tokenizer.json,
// and with a token that ends in white space.
TEST_F(TokenizerFolder, TokenizerJsonAloneHasAnIdWithoutATokenWhereALineStoodTwice) {
  Json document = good_document();
  document["model"]["vocab"].erase("x");
  document["model"]["vocab"]["x"] = 8;
  document["model"]["vocab"]["X "] = 9;
  write("tokenizer.json", to_line(document));
  write("vocab.txt", kVocabulary + "x\nX \n");
  fs::remove(path("vocab.txt"));
  const Tokenizer alone = load();
  ASSERT_EQ(alone.size(), 10);
  EXPECT_EQ(alone.token(4), "");
  EXPECT_EQ(alone.token(9), "X");
  EXPECT_THAT(alone.encode("x X", 16).ids, ElementsAre(2, 8, 5, 3));
}

TEST_F(TokenizerFolder, TokenizerJsonAloneIsRefusedForAVocabularyThatIsNone) {
  fs::remove(path("vocab.txt"));
  const auto vocab = "E_VOCAB " + path("tokenizer.json").string() + ": model.vocab: ";
  EXPECT_THAT(refusal_with("/model/vocab/x", 5),
              HasSubstr(vocab + "`x` and `X` have the same id 5"));
  EXPECT_THAT(refusal_with("/model/vocab/x", -1), HasSubstr(vocab + "`x` has the id -1"));
  EXPECT_THAT(refusal_with("/model/vocab/x", 1 << 22),
              HasSubstr(vocab + "`x` has the id 4194304, more than the 4194304 tokens"));
  EXPECT_THAT(refusal_with("/model/vocab/two\nlines", 8), HasSubstr("holds a line end"));
  EXPECT_THAT(refusal_with(("/model/vocab/" + std::string(5000, 'n')).c_str(), 8),
              HasSubstr("has over 4096 bytes"));
  EXPECT_THAT(refusal_with("/model/vocab", Json::object()), HasSubstr(vocab + "it is empty"));
  EXPECT_THAT(refusal_with("/model/vocab", Json::array({"x", "y"})), HasSubstr("E_ENCODER"));
  EXPECT_THAT(refusal_with("/model/vocab/x", "4"),
              AllOf(HasSubstr("E_ENCODER"), HasSubstr("gives `x` the id (no number)")));
  EXPECT_THAT(refusal_with("/model/vocab/x", 4.5), HasSubstr("gives `x` the id 4.5"));
  EXPECT_THAT(refusal_with("/added_tokens/0/id", 2),
              HasSubstr("`[SEP]` has not the id 2 in model.vocab"));
  Json document = good_document();
  document["model"]["vocab"].erase("[UNK]");
  write("tokenizer.json", to_line(document));
  EXPECT_THAT(refusal(), HasSubstr(vocab + "no token of 8 is [UNK]"));
}

TEST_F(TokenizerFolder, ATokenizerOfAnotherKindIsNamedWithoutAVocabTxt) {
  fs::remove(path("vocab.txt"));
  for (const char* kind : {"Unigram", "BPE", "WordLevel"}) {
    EXPECT_THAT(refusal_with("/model/type", kind),
                AllOf(HasSubstr("E_ENCODER"), HasSubstr("`model.type`"), HasSubstr(kind)));
  }
  Json document = good_document();
  document["model"] = {{"type", "Unigram"}};
  document["model"]["vocab"] = Json::array({Json::array({"<unk>", 0.0}), Json::array({"x", -3.5})});
  write("tokenizer.json", to_line(document));
  EXPECT_THAT(refusal(), HasSubstr("`model.type` is \"Unigram\", but a BERT tokenizer has"));
}

// Every byte of it in turn; a tokenizer that is accepted has the four tokens that BERT needs.
TEST_F(TokenizerFolder, DamagedCopiesOfTokenizerJsonAloneAreReadOrRefused) {
  fs::remove(path("vocab.txt"));
  const std::string good = to_line(good_document());
  const auto outcome = [&](const std::string& bytes) {
    write("tokenizer.json", bytes);
    const std::string seen = refusal();
    EXPECT_TRUE(seen == "accepted" || seen.starts_with("E_ENCODER ") ||
                seen.starts_with("E_VOCAB "))
        << seen;
  };
  for (size_t i = 0; i < good.size(); i += 3) {
    outcome(good.substr(0, i));
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x11);
    outcome(bad);
  }
}

TEST_F(TokenizerFolder, PointersOfGitLfsAreRefused) {
  const char* pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 466247\n";
  write("tokenizer.json", pointer);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("E_ENCODER"), HasSubstr("tokenizer.json is a pointer"),
                               HasSubstr("in place of 466247 bytes")));
  write("vocab.txt", pointer);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("E_VOCAB"), HasSubstr("vocab.txt is a pointer")));
}

TEST_F(TokenizerFolder, RefusesAConfigThatLeavesCaseOpenOrNamesAnotherClass) {
  write("tokenizer_config.json", "{}");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("E_ENCODER"), HasSubstr("`do_lower_case` is missing")));
  write("tokenizer_config.json",
        R"({"do_lower_case": true, "tokenizer_class": "RobertaTokenizer"})");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("E_ENCODER"), HasSubstr("RobertaTokenizer")));
}

}  // namespace
}  // namespace moecollab::text
