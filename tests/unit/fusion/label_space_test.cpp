#include "fusion/label_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "base/error.h"

namespace moecollab::fusion {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const LabelSpace kEmotion{"emotion/1", {"anger", "joy", "fear"}};
const LabelSpace kGeneral{"general/1", {"negative", "positive"}};

// What the refusal says, or "" if there was none.
template <typename Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_DESC_LABELS");
    EXPECT_NE(error.hint(), "");
    return error.what();
  }
  return "";
}

TEST(SpaceName, SplitsBaseAndVersion) {
  const SpaceName own = parse_space_name("emotion/1");
  EXPECT_EQ(own.base, "emotion");
  EXPECT_EQ(own.version, 1);
  EXPECT_FALSE(own.reverse_dns);
  const SpaceName other = parse_space_name("org.example.clause-types_2/12");
  EXPECT_EQ(other.base, "org.example.clause-types_2");
  EXPECT_EQ(other.version, 12);
  EXPECT_TRUE(other.reverse_dns);
}

TEST(SpaceName, RefusesWhatIsNoNameAndVersion) {
  for (const char* name :
       {"", "emotion", "/1", "emotion/", "emotion/0", "emotion/01", "emotion/-1", "emotion/1.0",
        "emotion/1 ", "emotion/99999999999", "a/b/1", ".emotion/1", "org..example/1", "org./1",
        "emo tion/1", "../emotion/1", "émotion/1"}) {
    EXPECT_THAT(refusal([&] { parse_space_name(name); }), HasSubstr("label space name")) << name;
  }
  EXPECT_EQ(refusal([] { parse_space_name(std::string(126, 'a') + "/1"); }), "");
  EXPECT_THAT(refusal([] { parse_space_name(std::string(127, 'a') + "/1"); }),
              AllOf(HasSubstr("129 bytes"), HasSubstr("128")));
}

TEST(SpaceName, EscapesControlBytesInTheMessage) {
  EXPECT_THAT(refusal([] { parse_space_name("a\x1b[2J/1"); }), HasSubstr("a\\x1b[2J/1"));
}

TEST(LabelUnion, NumbersLabelsInOrderOfFirstAppearance) {
  LabelUnion all;
  EXPECT_EQ(all.add(kEmotion, false), 0);
  EXPECT_EQ(all.add(kGeneral, false), 1);
  EXPECT_EQ(all.add(kEmotion, false), 0);
  EXPECT_EQ(all.size(), 5);
  EXPECT_EQ(all.c_max(), 3);
  ASSERT_EQ(all.spaces().size(), 2u);
  EXPECT_EQ(all.range(0).offset, 0);
  EXPECT_EQ(all.range(0).count, 3);
  EXPECT_EQ(all.range(1).offset, 3);
  EXPECT_EQ(all.range(1).count, 2);
  EXPECT_EQ(all.find("general/1"), 1);
  EXPECT_EQ(all.find("general/2"), std::nullopt);
  EXPECT_EQ(all.id(1, "positive"), 4);
  EXPECT_EQ(all.id(0, "positive"), std::nullopt);
}

TEST(LabelUnion, EveryIdRoundTrips) {
  LabelUnion all;
  all.add(kEmotion, false);
  all.add(kGeneral, false);
  for (int id = 0; id < all.size(); ++id) {
    EXPECT_EQ(all.id(all.space_of(id), all.label(id)), id);
  }
  EXPECT_EQ(all.space_of(2), 0);
  EXPECT_EQ(all.space_of(3), 1);
  EXPECT_EQ(all.label(3), "negative");
  EXPECT_THROW(all.space_of(5), std::out_of_range);
  EXPECT_THROW(all.label(-1), std::out_of_range);
}

TEST(LabelUnion, SameSetInAnotherOrderIsMappedByName) {
  LabelUnion all;
  all.add(kGeneral, false);
  const int space = all.add(kEmotion, false);
  EXPECT_EQ(all.add({"emotion/1", {"fear", "anger", "joy"}}, false), space);
  EXPECT_EQ(all.spaces()[space].labels, kEmotion.labels);
  // general/1 has ids 0 and 1; anger 2, joy 3, fear 4.
  EXPECT_THAT(all.columns(space, std::vector<std::string>{"fear", "anger", "joy"}),
              ElementsAre(4, 2, 3));
}

TEST(LabelUnion, SpacesNeverMerge) {
  LabelUnion all;
  const int first = all.add(kGeneral, false);
  const int next_version = all.add({"general/2", kGeneral.labels}, false);
  EXPECT_NE(first, next_version);
  EXPECT_EQ(all.size(), 4);
  EXPECT_NE(all.id(first, "positive"), all.id(next_version, "positive"));
}

TEST(LabelUnion, SubsetOnlyWithPartial) {
  LabelUnion all;
  all.add(kEmotion, false, "expert `a`");
  const LabelSpace subset{"emotion/1", {"fear", "joy"}};
  EXPECT_THAT(refusal([&] { all.add(subset, false, "expert `b`"); }),
              AllOf(HasSubstr("emotion/1"), HasSubstr("expert `a` (3 labels)"),
                    HasSubstr("expert `b` (2 labels)"), HasSubstr("`anger` is only in the first")));
  EXPECT_EQ(all.add(subset, true), 0);
  EXPECT_EQ(all.size(), 3);
  EXPECT_THAT(all.columns(0, subset.labels), ElementsAre(2, 1));
}

TEST(LabelUnion, RefusesALabelThatTheSpaceLacks) {
  for (const bool partial : {false, true}) {
    LabelUnion all;
    all.add(kEmotion, false);
    EXPECT_THAT(refusal([&] {
                  all.add({"emotion/1", {"anger", "happy", "fear"}}, partial);
                }),
                HasSubstr("`happy` is only in the second"));
    EXPECT_EQ(all.size(), 3);
  }
}

TEST(LabelUnion, CompleteDefinitionAfterPartialOnesSetsLabelsAndOrder) {
  LabelUnion all;
  all.add({"emotion/1", {"joy"}}, true);
  all.add({"emotion/1", {"fear", "joy", "a label too long for the small-string buffer"}}, true);
  EXPECT_THAT(all.spaces()[0].labels,
              ElementsAre("joy", "fear", "a label too long for the small-string buffer"));
  EXPECT_THAT(refusal([&] { all.add(kEmotion, false); }), HasSubstr("is only in the first"));

  LabelUnion later;
  later.add({"emotion/1", {"fear", "joy"}}, true);
  later.add(kGeneral, false);
  EXPECT_EQ(later.add(kEmotion, false), 0);
  EXPECT_EQ(later.spaces()[0].labels, kEmotion.labels);
  EXPECT_EQ(later.range(1).offset, 3);
  // Complete from here on: a partial expert adds nothing any more.
  EXPECT_NE(refusal([&] { later.add({"emotion/1", {"awe"}}, true); }), "");
}

TEST(LabelUnion, RefusesMalformedLists) {
  LabelUnion all;
  EXPECT_THAT(refusal([&] { all.add({"emotion/1", {}}, false); }), HasSubstr("no labels"));
  EXPECT_THAT(refusal([&] {
                all.add({"emotion/1", {"a", ""}}, false);
              }),
              HasSubstr("label 1 of 2 is empty"));
  EXPECT_THAT(refusal([&] {
                all.add({"emotion/1", {"a", "b", "a"}}, false);
              }),
              HasSubstr("`a` is listed twice"));
  EXPECT_NE(refusal([&] { all.add({"emotion", {"a"}}, false); }), "");
  EXPECT_EQ(all.size(), 0);
}

TEST(LabelUnion, ColumnsRefuseAnUnknownLabelWithTheNearest) {
  LabelUnion all;
  all.add(kEmotion, false);
  EXPECT_THAT(refusal([&] {
                all.columns(0, std::vector<std::string>{"joy", "angr"});
              }),
              AllOf(HasSubstr("`angr`"), HasSubstr("emotion/1"), HasSubstr("`anger`")));
}

TEST(LabelUnion, EmptyUnionHoldsNothing) {
  const LabelUnion none;
  EXPECT_EQ(none.size(), 0);
  EXPECT_EQ(none.c_max(), 0);
  EXPECT_EQ(none.find("emotion/1"), std::nullopt);
  EXPECT_THROW(none.range(0), std::out_of_range);
}

}  // namespace
}  // namespace moecollab::fusion
