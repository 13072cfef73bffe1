#include "text/normalizer.h"

#include <gmock/gmock.h>

#include <random>

#include "unit/text/support.h"

namespace moecollab::text {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  WordSplitter splitter(text);
  WordSplitter::Word word;
  while (splitter.next(&word)) words.emplace_back(word.text);
  return words;
}

TEST(CleanText, DropsControlsBeforeItLooksForSpaces) {
  EXPECT_EQ(clean_text("x\u0085y\x0Bz\x0Cw\x7F"), "xyzw");
  EXPECT_EQ(clean_text("x\u00A0y\u2028z\tw\r\n"), "x y z w  ");
}

TEST(CleanText, DropsFormatAndPrivateUseButNotUnassigned) {
  EXPECT_EQ(clean_text("a\u200Bb\uFEFFc\u00ADd\u180Ee\uE000f\uFFFDg"), "abcdefg");
  EXPECT_EQ(clean_text(std::string_view("a\0b", 3)), "ab");
  EXPECT_EQ(clean_text("a\u0378b"), "a\u0378b");
}

TEST(RepairedUtf8, GivesOneReplacementForEachMaximalPart) {
  EXPECT_EQ(repaired_utf8("a\xFF\xC3"), "a\uFFFD\uFFFD");
  EXPECT_EQ(repaired_utf8("\xE2\x82z"), "\uFFFDz");
  EXPECT_EQ(repaired_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a lone surrogate
  EXPECT_EQ(repaired_utf8("\u4E2D\U0001F600"), "\u4E2D\U0001F600");
}

TEST(SpaceChinese, SurroundsIdeographsAndKeepsTheReferencesGap) {
  EXPECT_EQ(space_chinese("x\u4E2Dy"), "x \u4E2D y");
  EXPECT_EQ(space_chinese("\U0002B81F\U0002B820\U0002B920"), " \U0002B81F \U0002B820 \U0002B920 ");
  EXPECT_EQ(space_chinese("\u3042\uD55C"), "\u3042\uD55C");
}

TEST(StripAccents, DecomposesDropsMarksAndDoesNotRecompose) {
  EXPECT_EQ(strip_accents("\u00E9\u0130\u304C"), "eI\u304B");
  EXPECT_EQ(strip_accents("\uD55C"), "\u1112\u1161\u11AB");
  EXPECT_EQ(strip_accents("\uFB01\u00B2"), "\uFB01\u00B2");
}

TEST(StripAccents, PutsTheMarksThatStayIntoCanonicalOrder) {
  EXPECT_EQ(strip_accents("a\u302E\U0001D165"), "a\U0001D165\u302E");
  EXPECT_EQ(strip_accents("a\u302E\u0301\U0001D165"), "a\U0001D165\u302E");
  // U+034F is a starter, so it parts the run although it is dropped.
  EXPECT_EQ(strip_accents("a\u302E\u034F\U0001D165"), "a\u302E\U0001D165");
  EXPECT_EQ(strip_accents("\u302Eb\U0001D165"), "\u302Eb\U0001D165");
}

TEST(StripAccents, IsLinearInAlternatingMarks) {
  std::string text = "a";
  for (int i = 0; i < 300000; ++i) text += "\u0301\u0323";
  EXPECT_EQ(strip_accents(text), "a");
}

TEST(Lowercase, MapsEachCodePointAlone) {
  EXPECT_EQ(lowercase("AZ[`\u00C9\u03A3\u0391\u03A3"), "az[`\u00E9\u03C3\u03B1\u03C3");
  EXPECT_EQ(lowercase("\u0130"), "i\u0307");
  EXPECT_EQ(lowercase("\u00DF"), "\u00DF");
}

TEST(Normalize, DoesEachStepOnlyIfAsked) {
  const NormalizerOptions none{false, false, false, false};
  const std::string text = "A\u00C9\u4E2D\x01";
  EXPECT_EQ(normalize(text, none), text);
  EXPECT_EQ(normalize(text, {true, false, false, false}), "A\u00C9\u4E2D");
  EXPECT_EQ(normalize(text, {false, true, false, false}), "A\u00C9 \u4E2D \x01");
  EXPECT_EQ(normalize(text, {false, false, true, false}), "AE\u4E2D\x01");
  EXPECT_EQ(normalize(text, {false, false, false, true}), "a\u00E9\u4E2D\x01");
  EXPECT_EQ(normalize(text, {}), "ae \u4E2D ");
}

TEST(WordSplitter, IsolatesPunctuationAndDropsSpace) {
  EXPECT_THAT(words_of(" ab,c\u2003d!? "), ElementsAre("ab", ",", "c", "d", "!", "?"));
  EXPECT_THAT(words_of("x$y\u20ACz\u2013w"), ElementsAre("x", "$", "y\u20ACz", "\u2013", "w"));
  EXPECT_THAT(words_of(""), IsEmpty());
  EXPECT_THAT(words_of(" \t\n"), IsEmpty());
}

TEST(WordSplitter, CountsCodePoints) {
  WordSplitter splitter("\u00E9\u4E2D\U0001F600a .");
  WordSplitter::Word word;
  ASSERT_TRUE(splitter.next(&word));
  EXPECT_EQ(word.code_points, 4u);
  ASSERT_TRUE(splitter.next(&word));
  EXPECT_EQ(word.code_points, 1u);
  EXPECT_FALSE(splitter.next(&word));
}

std::vector<std::pair<std::string, size_t>> read_words(auto&& words) {
  std::vector<std::pair<std::string, size_t>> found;
  WordSplitter::Word word;
  while (words.next(&word)) found.emplace_back(word.text, word.code_points);
  return found;
}

TEST(WordReader, LeavesAWordThatDoesNotChangeWhereItIs) {
  const std::string text = " plain Big \u201Cquoted\u201D";
  WordReader words(text, {});
  WordSplitter::Word word;
  ASSERT_TRUE(words.next(&word));
  EXPECT_EQ(word.text, "plain");
  EXPECT_EQ(word.text.data(), text.data() + 1);
  ASSERT_TRUE(words.next(&word));
  EXPECT_EQ(word.text, "big");
  EXPECT_THAT(read_words(words), ElementsAre(testing::Pair("\u201C", 1), testing::Pair("quoted", 6),
                                             testing::Pair("\u201D", 1)));
  EXPECT_FALSE(words.next(&word));
}

TEST(WordReader, ReadsTheWordsOfTheNormalisedText) {
  // What joins, parts, sorts, grows or vanishes, and damaged UTF-8.
  const std::vector<std::string> parts = {"a",
                                          "bc",
                                          "D",
                                          "7",
                                          " ",
                                          "\t",
                                          "\n",
                                          "\r",
                                          "\x0B",
                                          "\x0C",
                                          "\x01",
                                          "\x7F",
                                          std::string(1, '\0'),
                                          ".",
                                          "$",
                                          "#",
                                          "\u00E9",
                                          "\u0301",
                                          "\u0323",
                                          "\u302E",
                                          "\U0001D165",
                                          "\u034F",
                                          "\u00A0",
                                          "\u3000",
                                          "\u0085",
                                          "\u200B",
                                          "\u00AD",
                                          "\u2019",
                                          "\u037E",
                                          "\u1FEF",
                                          "\u212A",
                                          "\u0130",
                                          "\u03A3",
                                          "\u4E2D",
                                          "\U0002B820",
                                          "\uD55C",
                                          "\uFFFD",
                                          "\U0001F600",
                                          "\xFF",
                                          "\xE2\x82",
                                          "\xC3"};
  std::mt19937 chance(1);
  for (unsigned bits = 0; bits < 16; ++bits) {
    const NormalizerOptions options{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0,
                                    (bits & 8) != 0};
    for (int i = 0; i < 2000; ++i) {
      std::string text;
      for (unsigned n = chance() % 12; n > 0; --n) text += parts[chance() % parts.size()];
      const std::string normalized = normalize(text, options);
      ASSERT_EQ(read_words(WordReader(text, options)), read_words(WordSplitter(normalized)))
          << testing::PrintToString(text) << " with options " << bits;
    }
  }
}

}  // namespace
}  // namespace moecollab::text
