// The steps of an epoch, and the rate of each.
#include "training/learner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace moecollab::training {
namespace {

TEST(Schedule, RisesAndFalls) {
  const Schedule s{.lr = 1.0, .warmup = 0.2, .linear_decay = true};
  EXPECT_DOUBLE_EQ(s.at(0, 10), 0.5);
  EXPECT_DOUBLE_EQ(s.at(1, 10), 1.0);
  EXPECT_DOUBLE_EQ(s.at(2, 10), 1.0);  // (10 − 2) / (10 − 2)
  EXPECT_DOUBLE_EQ(s.at(6, 10), 0.5);
  EXPECT_DOUBLE_EQ(s.at(9, 10), 0.125);
  EXPECT_DOUBLE_EQ((Schedule{.lr = 3.0}.at(9, 10)), 3.0);
}

TEST(Steps, HoldEachRowOnceAndBucketsPutLikeLengthsTogether) {
  TrainingSet data;
  std::vector<int64_t> rows;
  data.features.row_offsets.push_back(0);
  for (int64_t i = 0; i < 100; ++i) {
    rows.push_back(i);
    data.features.row_offsets.push_back(data.features.row_offsets.back() +
                                        static_cast<int32_t>(1 + (i * 37) % 50));
  }
  const Recipe recipe{.batch = 8, .schedule = {}, .bucket = true, .seed = 2};
  const auto steps = plan_steps(data, rows, recipe, 0);
  std::vector<int64_t> seen;
  int64_t spread = 0;
  for (const auto& step : steps) {
    seen.insert(seen.end(), step.begin(), step.end());
    const auto [low, high] = std::minmax_element(step.begin(), step.end(), [&](auto a, auto b) {
      return data.features.tokens(a) < data.features.tokens(b);
    });
    spread = std::max(spread, data.features.tokens(*high) - data.features.tokens(*low));
  }
  EXPECT_LT(spread, 10);  // of lengths 1 to 50
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, rows);
  EXPECT_EQ(plan_steps(data, rows, recipe, 0), steps);
  EXPECT_NE(plan_steps(data, rows, recipe, 1), steps);
}

}  // namespace
}  // namespace moecollab::training
