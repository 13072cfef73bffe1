#include "base/shards.h"

#include <gmock/gmock.h>

#include <numeric>
#include <set>

namespace moecollab {
namespace {

using ::testing::ElementsAre;

class SomeRanks final : public Ranks {
 public:
  SomeRanks(int rank, int size) : rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::vector<std::string> exchange(std::string_view /*what*/, std::string /*own*/) override {
    return {};
  }

 private:
  int rank_, size_;
};

TEST(Deal, EachRowIsInOneShard) {
  for (const int64_t rows : {0, 1, 7, 8, 9, 1000}) {
    std::vector<int64_t> all;
    for (const std::vector<int64_t>& shard : deal(rows)) {
      EXPECT_TRUE(std::is_sorted(shard.begin(), shard.end()));
      all.insert(all.end(), shard.begin(), shard.end());
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(std::ssize(all), rows);
    for (int64_t i = 0; i < rows; ++i) EXPECT_EQ(all[static_cast<size_t>(i)], i);
  }
}

TEST(Deal, ShardsAreAboutEqualInRowsAndLengths) {
  std::vector<int32_t> lengths(801);
  for (size_t i = 0; i < lengths.size(); ++i) lengths[i] = static_cast<int32_t>(2 + i * i % 127);
  const int64_t total = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  for (const std::vector<int64_t>& shard : deal(lengths)) {
    EXPECT_NEAR(static_cast<double>(shard.size()), 801 / 8.0, 1);
    int64_t sum = 0;
    for (const int64_t row : shard) sum += lengths[static_cast<size_t>(row)];
    EXPECT_NEAR(static_cast<double>(sum), static_cast<double>(total) / 8, 130);
  }
}

TEST(OwnShards, AreSharedOutAmongAnyNumberOfRanks) {
  for (int size = 1; size <= kShards; ++size) {
    std::multiset<int> all;
    for (int rank = 0; rank < size; ++rank) {
      const std::vector<int> own = own_shards(SomeRanks(rank, size));
      EXPECT_FALSE(own.empty());
      all.insert(own.begin(), own.end());
    }
    EXPECT_THAT(all, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  }
}

// Ranks that ask for other rows are at another step.
TEST(DigestOf, DiffersIfARowDoesOrTheirOrder) {
  const std::vector<int64_t> rows = {1, 2, 3}, other = {1, 2, 4}, turned = {2, 1, 3};
  EXPECT_EQ(digest_of(rows), digest_of(std::vector<int64_t>{1, 2, 3}));
  EXPECT_NE(digest_of(rows), digest_of(other));
  EXPECT_NE(digest_of(rows), digest_of(turned));
  EXPECT_NE(digest_of(rows), digest_of(std::span(rows).first(2)));
}

}  // namespace
}  // namespace moecollab
