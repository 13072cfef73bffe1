#include "text/batching.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "unit/text/support.h"

namespace moecollab::text {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Batches = std::vector<std::vector<int64_t>>;

TEST(PlanBatches, TakesLongestFirstAndEqualLengthsInOrder) {
  const std::vector<int32_t> lengths = {2, 5, 2, 3, 5};
  EXPECT_THAT(plan_batches(lengths, 100), ElementsAre(ElementsAre(1, 4, 3, 0, 2)));
  EXPECT_THAT(plan_batches(lengths, 10), ElementsAre(ElementsAre(1, 4), ElementsAre(3, 0, 2)));
}

TEST(PlanBatches, GivesARowOverTheBudgetABatchOfItsOwn) {
  const std::vector<int32_t> lengths = {1, 9, 8, 0};
  EXPECT_THAT(plan_batches(lengths, 4),
              ElementsAre(ElementsAre(1), ElementsAre(2), ElementsAre(0, 3)));
}

TEST(PlanBatches, OfNoRowsIsEmpty) { EXPECT_THAT(plan_batches({}, 4), IsEmpty()); }

TEST(PlanBatches, HoldsEachRowOnceWithinTheBudget) {
  std::mt19937 random(7);
  std::vector<int32_t> lengths(500);
  for (int32_t& length : lengths) length = static_cast<int32_t>(random() % 60);
  const Batches batches = plan_batches(lengths, 128);
  std::vector<int64_t> rows;
  for (const auto& batch : batches) {
    ASSERT_FALSE(batch.empty());
    int64_t tokens = 0;
    for (const int64_t row : batch) tokens += lengths[static_cast<size_t>(row)];
    EXPECT_LE(tokens, 128);
    rows.insert(rows.end(), batch.begin(), batch.end());
  }
  std::sort(rows.begin(), rows.end());
  ASSERT_EQ(rows.size(), lengths.size());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], static_cast<int64_t>(i));
  EXPECT_EQ(batches, plan_batches(lengths, 128));
}

TEST(PlanBatches, RefusesABudgetBelowOne) {
  const auto error = error_of([] { plan_batches({}, 0); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), "E_CONFIG");
}

}  // namespace
}  // namespace moecollab::text
