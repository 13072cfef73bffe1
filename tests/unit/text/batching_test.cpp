#include "text/batching.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
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
  for (const auto& error : {error_of([] { plan_batches({}, 0); }),
                            error_of([] { plan_even_batches({}, {.most = 0}); })}) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), "E_CONFIG");
  }
}

std::vector<int64_t> tokens_of(const Batches& batches, std::span<const int32_t> lengths) {
  std::vector<int64_t> tokens;
  for (const auto& batch : batches) {
    tokens.push_back(0);
    for (const int64_t row : batch) tokens.back() += lengths[static_cast<size_t>(row)];
  }
  return tokens;
}

TEST(PlanEvenBatches, GivesEachShareAsMuchAsTheOthers) {
  std::mt19937 random(7);
  for (const int64_t shares : {1, 2, 3, 16}) {
    for (const size_t texts : {50, 500, 5000}) {
      std::vector<int32_t> lengths(texts);
      for (int32_t& length : lengths) length = static_cast<int32_t>(4 + random() % 40);
      const Batches batches =
          plan_even_batches(lengths, {.shares = shares, .least = 64, .most = 384});
      const std::vector<int64_t> tokens = tokens_of(batches, lengths);
      const int64_t total = std::accumulate(tokens.begin(), tokens.end(), int64_t{0});
      EXPECT_EQ(total, std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
      EXPECT_LE(*std::ranges::max_element(tokens), 384);
      EXPECT_EQ(std::ssize(batches) % shares, 0) << total << " tokens for " << shares;
      EXPECT_LE(*std::ranges::max_element(tokens) - *std::ranges::min_element(tokens), 2 * 43);
      // Not many more than there must be: room for one text each, and the search goes by 32nds.
      EXPECT_LE(std::ssize(batches), shares * (total / (shares * (384 - 43)) * 33 / 32 + 2));
    }
  }
}

TEST(PlanEvenBatches, GivesFewTextsFewBatches) {
  const std::vector<int32_t> lengths = {20, 30, 10, 40};
  EXPECT_THAT(plan_even_batches(lengths, {.shares = 8, .least = 64, .most = 384}),
              ElementsAre(ElementsAre(3, 1, 0, 2)));
  EXPECT_THAT(plan_even_batches(lengths, {.shares = 8, .least = 64, .most = 70}),
              ElementsAre(ElementsAre(3, 1), ElementsAre(0, 2)));
  EXPECT_THAT(plan_even_batches(lengths, {.shares = 2, .least = 50, .most = 384}),
              ElementsAre(ElementsAre(3), ElementsAre(1, 0, 2)));
  EXPECT_THAT(plan_even_batches({}, {.shares = 8, .least = 64, .most = 384}), IsEmpty());
}

TEST(PlanEvenBatches, GivesARowOverTheMostABatchOfItsOwn) {
  const std::vector<int32_t> lengths = {500, 3, 400};
  EXPECT_THAT(plan_even_batches(lengths, {.shares = 2, .most = 384}),
              ElementsAre(ElementsAre(0), ElementsAre(2), ElementsAre(1)));
  std::mt19937 random(7);
  std::vector<int32_t> many(2000);
  for (int32_t& length : many) length = static_cast<int32_t>(3 + random() % 100);
  EXPECT_EQ(plan_even_batches(many, {.shares = 2, .most = 1}).size(), many.size());
}

}  // namespace
}  // namespace moecollab::text
