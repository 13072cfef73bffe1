// Folders without vocab.txt, as transformers 5 saves them (tools/golden_saved_tokenizer.py).
#include <gmock/gmock.h>

#include "unit/text/support.h"

namespace moecollab::text {
namespace {

// The tokenizer of a case, from the saved files alone or from vocab.txt and what says the case.
Tokenizer tokenizer_of(const Json& c, bool from_vocab_txt) {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& bytes) {
    write_file_atomic(folder.path() / name, bytes);
  };
  if (from_vocab_txt) {
    write("vocab.txt", c.at("vocab_txt").get<std::string>());
    write("tokenizer_config.json", to_line({{"do_lower_case", c.at("do_lower_case")}}));
  } else {
    write("tokenizer.json", to_line(c.at("tokenizer_json")));
    write("tokenizer_config.json", to_line(c.at("tokenizer_config")));
  }
  return Tokenizer::from_folder(folder.path(), SpecialTokens::kSplit);
}

TEST(TokenizerSaved, GivesTheReferencesIdsAndThoseOfVocabTxt) {
  const Json golden = read_golden("tokenizer_saved.json");
  ASSERT_EQ(golden.at("cases").size(), 4U);
  for (const Json& c : golden.at("cases")) {
    SCOPED_TRACE(c.at("name").get<std::string>());
    const Tokenizer saved = tokenizer_of(c, false), lines = tokenizer_of(c, true);
    EXPECT_EQ(saved.size(), lines.size());
    EXPECT_EQ(saved.options(), lines.options());
    for (const Json& pair : c.at("ids")) {
      const auto text = pair.at(0).get<std::string>();
      const auto ids = pair.at(1).get<std::vector<int32_t>>();
      EXPECT_EQ(saved.encode(text, kNoLimit).ids, ids) << text;
      EXPECT_EQ(lines.encode(text, kNoLimit).ids, ids) << text;
    }
  }
}

// So that a registry made with vocab.txt accepts the folder as saved again. A line that stands
// twice is lost in tokenizer.json: the fingerprints differ there.
TEST(TokenizerSaved, HasTheFingerprintOfVocabTxtUnlessALineStandsTwice) {
  const Json golden = read_golden("tokenizer_saved.json");
  for (const Json& c : golden.at("cases")) {
    const bool same = tokenizer_of(c, false).fingerprint() == tokenizer_of(c, true).fingerprint();
    EXPECT_EQ(same, c.at("name") != "line twice") << c.at("name");
  }
}

}  // namespace
}  // namespace moecollab::text
