// Parity with the reference, by the files that tools/golden_tokenizer.py wrote.
#include <gmock/gmock.h>

#include <bit>
#include <cstdlib>
#include <cstring>

#include "base/digest.h"
#include "text/unicode.h"
#include "unit/in_brief.h"
#include "unit/text/support.h"

namespace moecollab::text {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

using Ids = std::vector<int32_t>;

NormalizerOptions options_of(const Json& json) {
  return {json.at("clean_text").get<bool>(), json.at("handle_chinese_chars").get<bool>(),
          json.at("strip_accents").get<bool>(), json.at("lowercase").get<bool>()};
}

void check_pairs(const Tokenizer& tokenizer, const Json& pairs) {
  for (const Json& pair : pairs) {
    const auto found =
        tokenizer.encode_pair(pair.at("a").get<std::string>(), pair.at("b").get<std::string>(),
                              pair.at("max_length").get<int>());
    EXPECT_EQ(found.ids, pair.at("ids").get<Ids>()) << to_line(pair);
    EXPECT_EQ(found.type_ids, pair.at("type_ids").get<Ids>()) << to_line(pair);
  }
}

TEST(TokenizerGolden, RealVocabulary) {
  const Json golden = read_golden("tokenizer.json");
  const Tokenizer split = Tokenizer::from_folder(encoder_folder(), SpecialTokens::kSplit);
  const Tokenizer literal = Tokenizer::from_folder(encoder_folder(), SpecialTokens::kLiteral);
  EXPECT_THAT(split.vocabulary().warnings(), IsEmpty());
  ASSERT_GE(golden.at("cases").size(), 2000u);
  for (const Json& c : golden.at("cases")) {
    const Tokenizer& tokenizer = c.value("literal", false) ? literal : split;
    const auto text = c.at("text").get<std::string>();
    const auto found = tokenizer.encode(text, c.value("max_length", kNoLimit));
    EXPECT_EQ(found.ids, c.at("ids").get<Ids>()) << to_line(c);
    EXPECT_EQ(found.truncated, tokenizer.encode(text, kNoLimit).ids.size() > found.ids.size());
  }
  ASSERT_GE(golden.at("pairs").size(), 100u);
  check_pairs(split, golden.at("pairs"));
}

TEST(TokenizerGolden, TableOfHardCasesWithEveryOption) {
  const Json golden = read_golden("tokenizer_tiny.json");
  const Vocabulary vocabulary =
      vocabulary_of(golden.at("vocabulary").get<std::vector<std::string>>());
  ASSERT_EQ(golden.at("sets").size(), 12u);
  for (const Json& set : golden.at("sets")) {
    const bool literal = set.at("literal").get<bool>();
    const Tokenizer tokenizer(vocabulary, options_of(set.at("options")),
                              literal ? SpecialTokens::kLiteral : SpecialTokens::kSplit);
    ASSERT_GE(set.at("cases").size(), 60u);
    for (const Json& c : set.at("cases")) {
      EXPECT_EQ(tokens_of(tokenizer, c.at("text").get<std::string>()),
                c.at("tokens").get<std::vector<std::string>>())
          << set.at("name") << (literal ? " literal " : " ") << to_line(c);
    }
  }
  check_pairs(Tokenizer(vocabulary, {}, SpecialTokens::kSplit), golden.at("pairs"));
}

// The generator's code_point_sets() tells why the text is this one.
std::string words_around(char32_t c, const NormalizerOptions& options) {
  std::string text = "A\u302E";
  append_utf8(c, &text);
  text += "\U0001D165B";
  const std::string normalized = normalize(text, options);
  WordSplitter splitter(normalized);
  WordSplitter::Word word;
  std::string words;
  while (splitter.next(&word)) words.append(words.empty() ? "" : " ").append(word.text);
  return words + "\n";
}

TEST(TokenizerGolden, EveryCodePoint) {
  constexpr char32_t kBlock = 0x1000;
  const Json golden = read_golden("tokenizer_code_points.json");
  ASSERT_EQ(golden.at("sets").size(), 3u);
  for (const Json& set : golden.at("sets")) {
    const NormalizerOptions options = options_of(set.at("options"));
    ASSERT_EQ(set.at("digests").size(), 0x110000 / kBlock);
    if (in_brief() && &set != &golden.at("sets").front()) break;
    char32_t c = 0;
    for (const Json& expected : set.at("digests")) {
      Sha256 hash;
      const char32_t block = c;
      for (; c < block + kBlock; ++c) {
        if (c < 0xD800 || c > 0xDFFF) hash.update(words_around(c, options));
      }
      EXPECT_EQ(to_hex(hash.finish()).substr(0, 16), expected.get<std::string>())
          << set.at("name") << " block " << std::hex << static_cast<uint32_t>(block);
    }
  }
}

struct Ids256 {
  int64_t count = 0;
  std::string sha256;
};

Ids256 ids_of_file(const Tokenizer& tokenizer, const std::string& content, int max_length) {
  static_assert(std::endian::native == std::endian::little);
  Ids256 result;
  Sha256 hash;
  for (size_t at = 0; at < content.size();) {
    const size_t end = std::min(content.find('\n', at), content.size());
    const Json row = parse_json(std::string_view(content).substr(at, end - at));
    const Ids ids = tokenizer.encode(row.at("text").get<std::string>(), max_length).ids;
    result.count += static_cast<int64_t>(ids.size());
    hash.update({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t)});
    at = end + 1;
  }
  result.sha256 = to_hex(hash.finish());
  return result;
}

// MOECOLLAB_DEV_DATA: the folder of <domain>/dev.jsonl that the golden file was made from.
TEST(TokenizerGolden, DevFiles) {
  const char* data = std::getenv("MOECOLLAB_DEV_DATA");
  if (data == nullptr) GTEST_SKIP() << "MOECOLLAB_DEV_DATA is not set";
  const Json golden = read_golden("tokenizer_dev.json");
  const Tokenizer tokenizer = Tokenizer::from_folder(encoder_folder(), SpecialTokens::kSplit);
  ASSERT_EQ(golden.at("domains").size(), 5u);
  std::string changed;
  for (const Json& domain : golden.at("domains")) {
    const auto name = domain.at("domain").get<std::string>();
    const fs::path file = fs::path(data) / name / "dev.jsonl";
    const std::string content = fs::exists(file) ? read_file(file, "E_DATA") : "";
    if (sha256_hex(content) != domain.at("file_sha256").get<std::string>()) {
      changed += " " + name;
      continue;
    }
    const Ids256 found = ids_of_file(tokenizer, content, golden.at("max_length").get<int>());
    EXPECT_EQ(found.count, domain.at("ids")) << name;
    EXPECT_EQ(found.sha256, domain.at("ids_sha256").get<std::string>()) << name;
  }
  if (!changed.empty()) GTEST_SKIP() << "data changed:" << changed;
}

}  // namespace
}  // namespace moecollab::text
