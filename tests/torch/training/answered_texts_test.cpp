#include "training/answered_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecollab::training {
namespace {

using ::testing::ElementsAre;

// Texts numbered from `first` by their only feature; one expert with the classes x and y.
AnsweredTexts texts(int first, const std::vector<std::string>& domains,
                    const std::vector<int>& domain_of) {
  AnsweredTexts texts;
  const auto n = static_cast<int64_t>(domain_of.size());
  texts.z = at::arange(first, first + n, at::kFloat).view({n, 1});
  texts.targets = at::arange(n).remainder(2) + 4;
  texts.spaces = at::full({n}, 1, at::kLong);
  texts.domains = domains;
  texts.domain_of = domain_of;
  texts.logits = {at::tensor({1.0F, 0.0F}).expand({n, 2}).contiguous()};
  texts.seen = {first};
  return texts;
}

TEST(AnsweredTexts, JoinedTextsShareDomainsOfEqualNames) {
  const AnsweredTexts all = joined(texts(0, {"a", "b"}, {0, 1, 0}), texts(7, {"c", "a"}, {1, 0}));
  EXPECT_THAT(all.domains, ElementsAre("a", "b", "c"));
  EXPECT_THAT(all.domain_of, ElementsAre(0, 1, 0, 0, 2));
  EXPECT_TRUE(all.z.flatten().equal(at::tensor({0.0F, 1.0F, 2.0F, 7.0F, 8.0F})));
  EXPECT_EQ(all.logits[0].size(0), 5);
  EXPECT_THAT(all.seen, ElementsAre(7));
  EXPECT_EQ(all.index_of("c"), 2);
  EXPECT_EQ(all.index_of("d"), -1);
  EXPECT_TRUE(all.rows_of(0).equal(at::tensor({0, 2, 3}, at::kLong)));
}

TEST(AnsweredTexts, NothingIsJoinedToNothing) {
  const AnsweredTexts some = texts(0, {"a"}, {0});
  EXPECT_THAT(joined(some, {}).domain_of, ElementsAre(0));
  EXPECT_THAT(joined({}, some).domains, ElementsAre("a"));
}

TEST(AnsweredTexts, SelectedTextsKeepTheNumbersOfTheirDomains) {
  const AnsweredTexts all = texts(0, {"a", "b"}, {0, 1, 1});
  const AnsweredTexts last = all.select(at::tensor({2, 1}, at::kLong));
  EXPECT_THAT(last.domains, ElementsAre("a", "b"));
  EXPECT_THAT(last.domain_of, ElementsAre(1, 1));
  EXPECT_TRUE(last.z.flatten().equal(at::tensor({2.0F, 1.0F})));
  EXPECT_TRUE(last.targets.equal(at::tensor({4, 5}, at::kLong)));
  AnsweredTexts features_only;
  features_only.z = at::ones({3, 2});
  EXPECT_EQ(features_only.select(at::tensor({0}, at::kLong)).rows(), 1);
}

// The expert says x of every text; its columns are y = 5, x = 4 of the union.
TEST(AnsweredTexts, AnExpertAloneIsRightByItsOwnColumns) {
  const AnsweredTexts all = texts(0, {"a"}, {0, 0, 0});  // labels 4, 5, 4
  EXPECT_TRUE(
      right_alone(all, 0, {1, {4, 5}, 1.0}).to(at::kLong).equal(at::tensor({1, 0, 1}, at::kLong)));
  EXPECT_TRUE(
      right_alone(all, 0, {1, {5, 4}, 1.0}).to(at::kLong).equal(at::tensor({0, 1, 0}, at::kLong)));
}

}  // namespace
}  // namespace moecollab::training
