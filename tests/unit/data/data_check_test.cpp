#include "data/data_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecollab::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DataCheck, CountsRowsLabelsAndLengths) {
  DataCheck check(count_words, "words");
  check.add("one two three", "b", 1);
  check.add("one", "a", 2);
  check.add("one\u00A0two", "b", 3);
  check.add("none", "", 4);
  const Json json = check.to_json();
  EXPECT_EQ(json["rows"], 4);
  EXPECT_EQ(json["unlabelled"], 1);
  EXPECT_EQ(json["labels"], Json({{"a", 1}, {"b", 2}}));
  EXPECT_EQ(json["unit"], "words");
  EXPECT_EQ(json["shortest"], 1);
  EXPECT_EQ(json["longest"], 3);
  EXPECT_EQ(json["mean"], 1.75);
}

TEST(DataCheck, AnEmptyFileHasNoMean) { EXPECT_TRUE(DataCheck().to_json()["mean"].is_null()); }

TEST(DataCheck, TextsUnderTwoLabelsAreWarnedAboutByLine) {
  DataCheck check;
  check.add("good", "x", 9);
  check.add("same", "x", 3);
  check.add("twice", "x", 4);
  check.add("twice", "x", 5);
  check.add("same", "y", 7);
  check.add("good", "x", 8);
  EXPECT_EQ(check.to_json()["duplicates"], 3);
  EXPECT_EQ(check.to_json()["duplicates_with_other_labels"], 1);
  EXPECT_THAT(check.warnings(),
              ElementsAre("1 text stands under two labels, the first at lines 3 and 7",
                          "1 label has one text only: `y`"));
}

TEST(DataCheck, TextsOfWhichNoneHasALabel) {
  DataCheck check;
  check.add("a", "", 1);
  check.add("b", "", 2);
  EXPECT_THAT(check.warnings(), ElementsAre(HasSubstr("--label-column")));
  check.add("c", "x", 3);
  check.add("d", "x", 4);
  EXPECT_THAT(check.warnings(), ElementsAre());
}

TEST(DataCheck, LabelsThatLookAlike) {
  DataCheck check;
  int64_t line = 0;
  for (const char* label : {"Sports", "sports", "sci-tech", "sci tech", "SciTech", "world"}) {
    for (const char* text : {"a", "b"}) check.add(std::string(label) + text, label, ++line);
  }
  EXPECT_THAT(check.warnings(), ElementsAre(HasSubstr("`SciTech`, `sci tech`, `sci-tech`"),
                                            HasSubstr("`Sports`, `sports`")));
}

TEST(DataCheck, TheClassNumberOfTextsWithoutALabel) {
  DataCheck numbers, signs;
  int64_t line = 0;
  for (const char* label : {"0", "1", "-1"}) {
    for (const char* text : {"a", "b"}) numbers.add(std::string(label) + text, label, ++line);
  }
  EXPECT_THAT(numbers.warnings(), ElementsAre(HasSubstr("2 texts have the label -1")));
  for (const char* label : {"1", "-1"}) {
    for (const char* text : {"a", "b"}) signs.add(std::string(label) + text, label, ++line);
  }
  EXPECT_THAT(signs.warnings(), IsEmpty());
}

TEST(DataCheck, TextsOfAnotherFile) {
  DataCheck one, other;
  for (const char* text : {"a", "b", "b", "c"}) one.add(text, "x", 1);
  for (const char* text : {"d", "c", "b", "c"}) other.add(text, "x", 1);
  EXPECT_EQ(one.shared_with(other), 2);
  EXPECT_EQ(other.shared_with(one), 2);
  EXPECT_EQ(one.shared_with(DataCheck()), 0);
}

}  // namespace
}  // namespace moecollab::data
