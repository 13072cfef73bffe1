#include "scale/scale_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace moecollab::scale {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ScalePlan, EveryPoolWithUselessExpertsHasOneWithoutBesideIt) {
  const ScalePlan plan{{4, 8}, {0, 25, 75}, 32};
  EXPECT_THAT(
      pool_sizes(plan),
      ElementsAre(PoolSize{1, 0}, PoolSize{1, 3}, PoolSize{2, 0}, PoolSize{2, 6}, PoolSize{3, 0},
                  PoolSize{3, 1}, PoolSize{4, 0}, PoolSize{6, 0}, PoolSize{6, 2}, PoolSize{8, 0}));
  EXPECT_EQ((PoolSize{6, 2}.name()), "6+2");
  EXPECT_THAT(pool_sizes({{4}, {50}, 32}),
              ElementsAre(PoolSize{2, 0}, PoolSize{2, 2}, PoolSize{4, 0}));
}

TEST(ScalePlan, OneExpertIsHonestAtLeast) {
  EXPECT_EQ(pool_size(1, 75), (PoolSize{1, 0}));
  EXPECT_EQ(pool_size(2, 75), (PoolSize{1, 1}));
  EXPECT_EQ(pool_size(128, 75), (PoolSize{32, 96}));
}

TEST(ScalePlan, ASmallPoolsHonestExpertsAreTheFirstOfALargerOne) {
  const std::vector<Member> small = members({3, 2}, 4), large = members({6, 9}, 4);
  std::map<std::pair<int, bool>, int> numbers;
  for (const Member& member : large) {
    EXPECT_EQ(member.number, ++numbers[std::pair(member.domain, member.useless)]);
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(small[i].domain, large[i].domain);
    EXPECT_EQ(small[i].number, large[i].number);
  }
  EXPECT_EQ((numbers[{0, false}]), 2);
  EXPECT_EQ((numbers[{3, false}]), 1);
  EXPECT_EQ((numbers[{0, true}]), 3);
  // Useless ones stay within the domains that honest ones cover.
  for (const Member& member : small) EXPECT_LT(member.domain, 3);
}

TEST(ScalePlan, RefusesWhatIsOutOfRange) {
  const auto refusal = [](const ScalePlan& plan) -> std::string {
    try {
      validate(plan);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal({}), "accepted");
  EXPECT_THAT(refusal({{4, 0}, {0}, 8}), HasSubstr("--experts is 0, expected 1 to 512"));
  EXPECT_THAT(refusal({{}, {0}, 8}), HasSubstr("--experts names no number"));
  EXPECT_THAT(refusal({{4}, {80}, 8}), HasSubstr("--useless is 80, expected 0 to 75"));
  EXPECT_THAT(refusal({{4}, {0}, 1}), HasSubstr("--domains is 1, expected 2 to 512"));
}

}  // namespace
}  // namespace moecollab::scale
