#include "text/tokenizer.h"

#include <gmock/gmock.h>

#include <random>
#include <set>
#include <thread>

#include "unit/text/support.h"

namespace moecollab::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Tokenizer small_tokenizer(SpecialTokens policy = SpecialTokens::kSplit) {
  return Tokenizer(small_vocabulary(), {}, policy);
}

TEST(Tokenizer, MatchesGreedilyAndGivesUpAWordWhole) {
  const Tokenizer tokenizer = small_tokenizer();
  EXPECT_THAT(tokens_of(tokenizer, "Unaffable"),
              ElementsAre("[CLS]", "un", "##aff", "##able", "[SEP]"));
  EXPECT_THAT(tokens_of(tokenizer, "x unaffablez y"),
              ElementsAre("[CLS]", "x", "[UNK]", "y", "[SEP]"));
}

// Greedy longest match by trying substrings.
std::vector<std::string> pieces_of(const std::set<std::string>& tokens, const std::string& word) {
  std::vector<std::string> pieces;
  for (size_t start = 0; start < word.size(); start += pieces.back().size() - (start > 0 ? 2 : 0)) {
    size_t length = word.size() - start;
    const auto piece = [&] { return (start > 0 ? "##" : "") + word.substr(start, length); };
    while (length > 0 && !tokens.contains(piece())) --length;
    if (length == 0) return {"[UNK]"};
    pieces.push_back(piece());
  }
  return pieces;
}

TEST(Tokenizer, AgreesWithTryingSubstrings) {
  std::mt19937 chance(1);
  const std::vector<std::string> letters = {"a", "b", "c", "\u03B1", "\u4E00"};
  const auto random_word = [&](unsigned longest) {
    std::string word;
    for (unsigned n = 1 + chance() % longest; n > 0; --n)
      word += letters[chance() % letters.size()];
    return word;
  };
  std::set<std::string> pieces = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
  for (int i = 0; i < 150; ++i) {
    const std::string word = random_word(5);  // before the next draw, by every compiler
    pieces.insert((chance() % 2 == 0 ? "##" : "") + word);
  }
  const Tokenizer tokenizer(vocabulary_of({pieces.begin(), pieces.end()}),
                            {.handle_chinese_chars = false}, SpecialTokens::kSplit);
  size_t unknown = 0, split = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::string word = random_word(9);
    std::vector<std::string> expected = pieces_of(pieces, word);
    unknown += expected.front() == "[UNK]" ? 1 : 0;
    split += expected.size() > 1 ? 1 : 0;
    expected.insert(expected.begin(), "[CLS]");
    expected.push_back("[SEP]");
    ASSERT_EQ(tokens_of(tokenizer, word), expected) << word;
  }
  EXPECT_GT(unknown, 100u);
  EXPECT_GT(split, 100u);
}

TEST(Tokenizer, TruncatesOnTheRightAndSaysSo) {
  const Tokenizer tokenizer = small_tokenizer();
  const auto whole = tokenizer.encode("x y a", 5);
  EXPECT_THAT(whole.ids, ElementsAre(2, 10, 11, 8, 3));
  EXPECT_FALSE(whole.truncated);
  EXPECT_THAT(whole.type_ids, IsEmpty());
  const auto cut = tokenizer.encode("x y a", 4);
  EXPECT_THAT(cut.ids, ElementsAre(2, 10, 11, 3));
  EXPECT_TRUE(cut.truncated);
  EXPECT_THAT(tokenizer.encode("x y a", 2).ids, ElementsAre(2, 3));
  EXPECT_TRUE(tokenizer.encode("x", 2).truncated);
  EXPECT_FALSE(tokenizer.encode(" ", 2).truncated);
}

TEST(Tokenizer, TruncatesWithinAWordAndAtASpecialToken) {
  const Tokenizer tokenizer = small_tokenizer();
  EXPECT_THAT(tokenizer.encode("unaffable", 4).ids, ElementsAre(2, 5, 6, 3));
  EXPECT_THAT(tokenizer.encode("x[MASK]y", 4).ids, ElementsAre(2, 10, 4, 3));
  EXPECT_FALSE(tokenizer.encode("x[MASK]", 4).truncated);
  EXPECT_TRUE(tokenizer.encode("x[MASK][MASK]", 4).truncated);
}

TEST(Tokenizer, RefusesALengthWithoutRoomForItsOwnTokens) {
  const Tokenizer tokenizer = small_tokenizer();
  for (const int length : {1, 0, -5}) {
    const auto error = error_of([&] { tokenizer.encode("x", length); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), "E_CONFIG");
    EXPECT_THAT(error->what(), HasSubstr("max_length is " + std::to_string(length)));
  }
  const auto error = error_of([&] { tokenizer.encode_pair("x", "y", 2); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), "E_CONFIG");
  EXPECT_THAT(error->what(), HasSubstr("at least 3"));
}

TEST(Tokenizer, EncodesAPairWithTypes) {
  const Tokenizer tokenizer = small_tokenizer();
  const auto pair = tokenizer.encode_pair("x", "y a", 6);
  EXPECT_THAT(pair.ids, ElementsAre(2, 10, 3, 11, 8, 3));
  EXPECT_THAT(pair.type_ids, ElementsAre(0, 0, 0, 1, 1, 1));
  EXPECT_FALSE(pair.truncated);
  const auto cut = tokenizer.encode_pair("x x x", "y", 5);
  EXPECT_THAT(cut.ids, ElementsAre(2, 10, 3, 11, 3));
  EXPECT_THAT(cut.type_ids, ElementsAre(0, 0, 0, 1, 1));
  EXPECT_TRUE(cut.truncated);
  EXPECT_THAT(tokenizer.encode_pair("", "", 3).type_ids, ElementsAre(0, 0, 1));
}

TEST(Tokenizer, SpecialTokensInTextFollowThePolicy) {
  EXPECT_THAT(tokens_of(small_tokenizer(), "x[SEP]y"),
              ElementsAre("[CLS]", "x", "[SEP]", "y", "[SEP]"));
  EXPECT_THAT(tokens_of(small_tokenizer(SpecialTokens::kLiteral), "x[SEP]y"),
              ElementsAre("[CLS]", "x", "[", "sep", "]", "y", "[SEP]"));
}

TEST(Tokenizer, SplitsAtTheLeftmostLongestSpecialToken) {
  const Tokenizer tokenizer(
      vocabulary_of({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "<a", "<ab>", "b", ">"}), {},
      SpecialTokens::kSplit, std::vector<std::string>{"<a", "<ab>"});
  EXPECT_THAT(tokens_of(tokenizer, "<ab><ab"), ElementsAre("[CLS]", "<ab>", "<a", "b", "[SEP]"));
  // Not among the special tokens given, so text like any other.
  EXPECT_THAT(tokens_of(tokenizer, "[SEP]"),
              ElementsAre("[CLS]", "[UNK]", "[UNK]", "[UNK]", "[SEP]"));
}

TEST(Tokenizer, R42_InvalidUtf8IsDroppedAsTheReplacementCharacter) {
  EXPECT_THAT(tokens_of(small_tokenizer(), "x\xED\xA0\x80 \xFFy\xC3"),
              ElementsAre("[CLS]", "x", "y", "[SEP]"));
  const Tokenizer kept(small_vocabulary(), {.clean_text = false}, SpecialTokens::kSplit);
  EXPECT_THAT(tokens_of(kept, "x\xFF"), ElementsAre("[CLS]", "[UNK]", "[SEP]"));
}

TEST(Tokenizer, R42_LongTextIsCutAndMarked) {
  std::string text;
  for (int i = 0; i < 1000000; ++i) text += "x ";
  const auto encoding = small_tokenizer().encode(text, 256);
  EXPECT_THAT(encoding.ids, SizeIs(256));
  EXPECT_TRUE(encoding.truncated);
  EXPECT_THAT(small_tokenizer().encode(text, kNoLimit).ids, SizeIs(1000002));
}

TEST(Tokenizer, TakesAMegabyteOfOneWordInLinearTime) {
  const std::string word(1 << 20, 'a');
  EXPECT_THAT(tokens_of(small_tokenizer(), word), ElementsAre("[CLS]", "[UNK]", "[SEP]"));
  const std::string brackets(1 << 20, '[');
  EXPECT_THAT(small_tokenizer().encode(brackets, kNoLimit).ids, SizeIs((1 << 20) + 2));
}

TEST(Tokenizer, CountsAWordsLengthAfterNormalisation) {
  std::string accented;
  for (int i = 0; i < 100; ++i) accented += "a\u0301\u0323";
  EXPECT_THAT(tokens_of(small_tokenizer(), accented), SizeIs(102));
  EXPECT_THAT(tokens_of(small_tokenizer(), accented + "a"), ElementsAre("[CLS]", "[UNK]", "[SEP]"));
}

TEST(Tokenizer, IsThreadSafe) {
  const Tokenizer tokenizer = small_tokenizer();
  const std::string text = "Unaffable \u00E1x[SEP]\u4E2D y";
  const auto expected = tokenizer.encode(text, 64).ids;
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) count += tokenizer.encode(text, 64).ids != expected ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST(Tokenizer, FingerprintTellsApartAllThatChangesIds) {
  const Vocabulary base = small_vocabulary();
  const auto print = [](const Vocabulary& vocabulary, NormalizerOptions options,
                        SpecialTokens policy) {
    return Tokenizer(vocabulary, options, policy).fingerprint();
  };
  const std::string first = print(base, {}, SpecialTokens::kSplit);
  EXPECT_THAT(first, testing::MatchesRegex("[0-9a-f]{64}"));
  EXPECT_EQ(first, print(small_vocabulary(), {}, SpecialTokens::kSplit));

  std::set<std::string> prints = {first};
  prints.insert(print(base, {}, SpecialTokens::kLiteral));
  prints.insert(print(base, {.clean_text = false}, SpecialTokens::kSplit));
  prints.insert(print(base, {.handle_chinese_chars = false}, SpecialTokens::kSplit));
  prints.insert(print(base, {.strip_accents = false}, SpecialTokens::kSplit));
  prints.insert(print(base, {.lowercase = false}, SpecialTokens::kSplit));
  prints.insert(
      print(vocabulary_of({"[PAD]", "[UNK]", "[CLS]", "[SEP]"}), {}, SpecialTokens::kSplit));
  prints.insert(
      Tokenizer(base, {}, SpecialTokens::kSplit, std::vector<std::string>{"[SEP]"}).fingerprint());
  EXPECT_THAT(prints, SizeIs(8));
}

}  // namespace
}  // namespace moecollab::text
