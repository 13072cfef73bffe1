// Features that ranks compute for each other, over a link in memory.
#include "encoder/shared_rows.h"

#include <gmock/gmock.h>

#include <numeric>

#include "unit/cluster/team_of_threads.h"

namespace moecollab::encoder {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kTexts = 20, kWidth = 3;

// Each rank has the numbers of its own shards, which name the text, and −1 for the others.
Features computed_by(const Ranks& ranks, const Shards& shards, const PooledKey& key) {
  Features features;
  features.texts.assign(kTexts, "text");
  at::Tensor& means = features.pooled[key] = at::full({kTexts, kWidth}, -1.0);
  for (const int shard : own_shards(ranks)) {
    for (const int64_t text : shards[static_cast<size_t>(shard)])
      means[text].fill_(static_cast<double>(text));
  }
  return features;
}

// What the ranks' share_rows() ended with if each asks for the mean of its layer; `out`: by rank.
std::vector<std::string> share(const std::vector<int>& layers, std::vector<at::Tensor>& out) {
  cluster::MemoryNetwork network(static_cast<int>(layers.size()));
  out.resize(layers.size());
  std::vector<int64_t> rows(kTexts);
  std::iota(rows.begin(), rows.end(), 0);
  return cluster::run(network, [&](cluster::Team& team) {
    const auto at = static_cast<size_t>(team.rank());
    const PooledKey key{layers[at], Pooling::kMean};
    const Shards shards = deal(kTexts);
    Features features = computed_by(team, shards, key);
    FeatureRequest request;
    request.pooled = {key};
    share_rows(team, shards, rows, request, features);
    out[at] = features.pooled.at(key);
    team.finish();
  });
}

TEST(SharedRows, EveryRankHasAllInTheEnd) {
  std::vector<at::Tensor> out;
  EXPECT_THAT(share({2, 2, 2}, out), ElementsAre("", "", ""));
  const at::Tensor expected = at::arange(kTexts, at::kFloat).unsqueeze(1).expand({-1, kWidth});
  for (const at::Tensor& means : out) EXPECT_TRUE(at::equal(means, expected));
}

// They would have as many numbers, and take each other's for their own.
TEST(SharedRows, RanksThatWantOtherFeaturesAreRefusedAndBothAreNamed) {
  std::vector<at::Tensor> out;
  EXPECT_THAT(share({2, 4}, out), Each(AllOf(HasSubstr("E_DIST"), HasSubstr("mean of layer 2"),
                                             HasSubstr("mean of layer 4"))));
}

}  // namespace
}  // namespace moecollab::encoder
