#include "data/hold_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "base/error.h"

namespace moecollab::data {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// SHA-256 of the one-letter texts a … t (sha256sum), ascending:
//   s 043a  p 148d  j 189f  d 18ac  n 1b16  f 252f  c 2e7d  b 3e23  e 3f79  r 4543
//   m 62c6  o 65c7  k 8254  q 8e35  h aaa9  l acac  a ca97  g cd0a  i de7d  t e3b9
Dataset letters(std::string_view texts, const std::string& label) {
  Dataset data;
  for (const char c : texts) data.examples.push_back({std::string(1, c), label, 0});
  return data;
}

Dataset operator+(Dataset a, const Dataset& b) {
  a.examples.insert(a.examples.end(), b.examples.begin(), b.examples.end());
  return a;
}

std::multiset<std::string> held_texts(const Dataset& data) {
  const std::vector<bool> held = held_out(data);
  EXPECT_EQ(held.size(), data.examples.size());
  std::multiset<std::string> texts;
  for (size_t i = 0; i < held.size(); ++i) {
    if (held[i]) texts.insert(data.examples[i].text);
  }
  return texts;
}

TEST(HoldOut, TakesAFifthOfEachLabelByDigest) {
  EXPECT_THAT(held_texts(letters("abcdefghij", "x") + letters("klmnopqrst", "y")),
              UnorderedElementsAre("j", "d", "s", "p"));
}

TEST(HoldOut, RoundsDownButTakesAtLeastOneOfTwo) {
  EXPECT_THAT(held_texts(letters("abcdefghi", "x")), UnorderedElementsAre("d"));
  EXPECT_THAT(held_texts(letters("abc", "x")), UnorderedElementsAre("c"));
  EXPECT_THAT(held_texts(letters("ab", "x")), UnorderedElementsAre("b"));
  EXPECT_THAT(held_texts(letters("a", "x")), IsEmpty());
  EXPECT_THAT(held_texts({}), IsEmpty());
}

// The texts d and j are held out; the eight others, ascending f c b e h a g i, take turns.
TEST(Folds, TakeTurnsAmongWhatIsNotHeldOut) {
  const Dataset data = letters("abcdefghij", "x");
  EXPECT_THAT(folds(data, 5), ElementsAre(2, 3, 2, 0, 4, 1, 3, 1, 4, 0));
  EXPECT_THAT(folds(data, 1), ElementsAre(-1, -1, -1, 0, -1, -1, -1, -1, -1, 0));
}

TEST(Folds, HoldOutWhatIsHeldOutAndKeepEqualTextsTogether) {
  const Dataset data = letters("abcdefghijdd", "x") + letters("klmnopqrstaf", "y");
  const std::vector<bool> held = held_out(data);
  const std::vector<int32_t> fold = folds(data, 7);
  for (size_t i = 0; i < fold.size(); ++i) {
    EXPECT_EQ(fold[i] == 0, held[i]) << i;
    EXPECT_LT(fold[i], 7);
    for (size_t j = 0; j < i; ++j) {
      if (data.examples[i].text == data.examples[j].text) {
        EXPECT_EQ(fold[i], fold[j]);
      }
    }
  }
}

// A label of two texts has one beside the held-out one: six of these fill the folds in turn.
TEST(Folds, ManySmallLabelsFillThemAlike) {
  const Dataset data = letters("ab", "1") + letters("cd", "2") + letters("ef", "3") +
                       letters("gh", "4") + letters("ij", "5") + letters("kl", "6");
  std::vector<int> sizes(5);
  for (const int32_t fold : folds(data, 5)) ++sizes[static_cast<size_t>(fold)];
  EXPECT_THAT(sizes, ElementsAre(6, 2, 2, 1, 1));
}

TEST(Folds, ATextAloneWithItsLabelIsLearntByAll) {
  EXPECT_THAT(folds(letters("a", "x") + letters("klm", "y"), 5), ElementsAre(-1, 1, 2, 0));
}

TEST(HoldOut, RepeatedTextGoesWhollyToOneSideAndCountsOnce) {
  EXPECT_THAT(held_texts(letters("abcdefghijdd", "x")), UnorderedElementsAre("j", "d", "d", "d"));
  EXPECT_THAT(held_texts(letters("aaaa", "x")), IsEmpty());
}

TEST(HoldOut, TextWithTwoLabelsGoesWhollyToOneSide) {
  // c is the smallest of x (c 2e < e 3f) but not of y (s 04).
  EXPECT_THAT(held_texts(letters("ce", "x") + letters("sc", "y")),
              UnorderedElementsAre("c", "s", "c"));
}

TEST(HoldOut, OneTextALabelHoldsNothingOut) {
  const Dataset one = letters("a", "x") + letters("b", "y") + letters("cc", "z");
  Dataset named = one;
  named.file = "single.jsonl";
  const Dataset singles[] = {one, named};
  EXPECT_EQ(count_held_out(singles), 0);
  try {
    require_held_out(singles);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DATA");
    EXPECT_THAT(error.what(), testing::HasSubstr("no text is held out: a label needs two texts"));
    EXPECT_THAT(error.what(), testing::HasSubstr("single.jsonl"));
  }
  const Dataset two[] = {one, letters("ab", "x")};
  EXPECT_EQ(count_held_out(two), 1);
  require_held_out(two);
}

TEST(HoldOut, DoesNotDependOnTheOrderOfLines) {
  Dataset data = letters("abcdefghijdd", "x") + letters("cdklmnopqrst", "y");
  const auto expected = held_texts(data);
  std::ranges::reverse(data.examples);
  EXPECT_EQ(held_texts(data), expected);
  std::ranges::rotate(data.examples, data.examples.begin() + 7);
  EXPECT_EQ(held_texts(data), expected);
}

}  // namespace
}  // namespace moecollab::data
