// Training steps whose gradients ranks compute for each other, over a link in memory.
#include "training/shared_gradients.h"

#include <gmock/gmock.h>

#include <numeric>

#include "torch/toy_pool.h"
#include "training/learner.h"
#include "unit/cluster/team_of_threads.h"

namespace moecollab::training {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr int64_t kNumbers = 1000, kReads = 5;
const encoder::PooledKey kMeans{0, encoder::Pooling::kMean};

// Numbers of such different sizes that the order of their sum shows in its bits.
at::Tensor gradient_of(int shard) {
  return at::sin(at::arange(kNumbers, at::kFloat) * (shard + 1)) * std::pow(10.0, shard % 3);
}

Shards shards_with_rows(int count) {
  Shards shards;
  for (int shard = 0; shard < count; ++shard) shards[static_cast<size_t>(shard)] = {shard};
  return shards;
}

// What each rank has in the end.
std::vector<at::Tensor> sums(int size, int with_rows) {
  cluster::MemoryNetwork network(size);
  std::vector<at::Tensor> found(static_cast<size_t>(size));
  const auto ends = cluster::run(network, [&](cluster::Team& team) {
    ShardGradients own;
    for (const int shard : own_shards(team)) {
      if (shard < with_rows) own[static_cast<size_t>(shard)] = gradient_of(shard);
    }
    found[static_cast<size_t>(team.rank())] =
        sum_on_ranks(team, "gradients", shards_with_rows(with_rows), kNumbers, std::move(own));
    team.finish();
  });
  EXPECT_THAT(ends, Each(""));
  return found;
}

TEST(SharedGradients, AreAddedInOneOrderByAnyNumberOfRanks) {
  const auto pair = [](int a, int b) { return gradient_of(a) + gradient_of(b); };
  const at::Tensor all = (pair(0, 4) + pair(2, 6)) + (pair(1, 5) + pair(3, 7));
  const at::Tensor five = (pair(0, 4) + gradient_of(2)) + (gradient_of(1) + gradient_of(3));
  at::Tensor in_a_row = gradient_of(0);
  for (int shard = 1; shard < kShards; ++shard) in_a_row = in_a_row + gradient_of(shard);
  EXPECT_FALSE(in_a_row.equal(all)) << "another order must show";
  for (const int size : {1, 2, 3, 4, 6, 8}) {
    SCOPED_TRACE(size);
    for (const at::Tensor& sum : sums(size, kShards)) EXPECT_TRUE(sum.equal(all));
    for (const at::Tensor& sum : sums(size, 5)) EXPECT_TRUE(sum.equal(five));
    for (const at::Tensor& sum : sums(size, 1)) EXPECT_TRUE(sum.equal(gradient_of(0)));
  }
}

TEST(SharedGradients, ARankThatGivesFewerNumbersIsNamed) {
  cluster::MemoryNetwork network(2);
  const auto ends = cluster::run(network, [&](cluster::Team& team) {
    const int64_t size = kNumbers - team.rank();
    ShardGradients own;
    for (const int shard : own_shards(team)) own[static_cast<size_t>(shard)] = at::ones({size});
    sum_on_ranks(team, "gradients", shards_with_rows(kShards), size, std::move(own));
    team.finish();
  });
  EXPECT_THAT(ends,
              Contains(AllOf(HasSubstr("E_DIST"), HasSubstr("bytes of gradients, expected"))));
}

// One matrix, over features that each call scales by its seed, as dropout would.
class Scaled final : public moecollab::testing::UntaughtExpert {
 public:
  explicit Scaled(double by_seed) : by_seed_(by_seed) {
    facts_.name = "scaled";
    facts_.classes = 3;
    facts_.trainable = true;
  }
  struct Kept final : Saved {
    at::Tensor x;
  };

  const experts::ExpertFacts& facts() const override { return facts_; }
  at::Tensor forward(const encoder::Features& rows) override {
    return rows.pooled.at(kMeans).matmul(w_.t());
  }
  const std::vector<Parameter>& bind(uint64_t) override {
    parameters_.push_back({"w", w_, at::zeros_like(w_), true, true, 1.0});
    return parameters_;
  }
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  void params_changed() override {}
  at::Tensor forward_train(encoder::Features rows, uint64_t seed,
                           std::unique_ptr<Saved>& saved) override {
    auto kept = std::make_unique<Kept>();
    kept->x = rows.pooled.at(kMeans) * (1 + by_seed_ * static_cast<double>(seed % 101));
    at::Tensor logits = kept->x.matmul(w_.t());
    saved = std::move(kept);
    return logits;
  }
  void vjp(Saved& saved, const at::Tensor& gy) override {
    parameters_[0].grad.add_(gy.t().matmul(static_cast<Kept&>(saved).x));
  }
  const at::Tensor& learnt_matrix() const { return w_; }

 private:
  double by_seed_;
  experts::ExpertFacts facts_;
  at::Tensor w_ = at::zeros({3, kReads});
  std::vector<Parameter> parameters_;
};

TrainingSet forty_three_rows() {
  TrainingSet data;
  at::Tensor x = at::sin(at::arange(43 * kReads, at::kFloat).square()).view({43, kReads});
  for (int64_t row = 0; row < 43; ++row) {
    data.features.texts.emplace_back("text");
    data.features.row_ids.push_back(row);
    data.labels.push_back(static_cast<int32_t>(row % 3));
    data.weights.push_back(row % 3 == 0 ? 2.0F : 0.5F);
  }
  data.features.pooled[kMeans] = x;
  return data;
}

struct Learnt {
  at::Tensor matrix;
  EpochFigures figures;
};

// Two epochs, the last step of which has three rows.
Learnt learn(const TrainingSet& data, double by_seed, Ranks* ranks) {
  Scaled expert(by_seed);
  const Recipe recipe{.epochs = 2, .batch = 20, .schedule = {.lr = 1e-2}, .clip = 0.1, .seed = 3};
  std::vector<int64_t> rows(43);
  std::iota(rows.begin(), rows.end(), 0);
  const auto learner = make_learner(expert, recipe, 43, ranks);
  learner->epoch(data, rows, 0, [] {});
  const EpochFigures figures = learner->epoch(data, rows, 1, [] {});
  return {expert.learnt_matrix(), figures};
}

std::vector<Learnt> learn_on(int size, const TrainingSet& data, double by_seed) {
  cluster::MemoryNetwork network(size);
  std::vector<Learnt> found(static_cast<size_t>(size));
  const auto ends = cluster::run(network, [&](cluster::Team& team) {
    found[static_cast<size_t>(team.rank())] = learn(data, by_seed, &team);
    team.finish();
  });
  EXPECT_THAT(ends, Each(""));
  return found;
}

TEST(LearningOnRanks, EndsInTheSameBitsOnAllForAnyNumber) {
  const TrainingSet data = forty_three_rows();
  const Learnt one = learn_on(1, data, 0.01).front();
  for (const int size : {2, 3, 8}) {
    for (const Learnt& learnt : learn_on(size, data, 0.01)) {
      EXPECT_TRUE(learnt.matrix.equal(one.matrix)) << size;
      EXPECT_EQ(learnt.figures.loss, one.figures.loss) << size;
    }
  }
}

TEST(LearningOnRanks, IsTheLearningOfOneProcessButForRounding) {
  const TrainingSet data = forty_three_rows();
  const Learnt alone = learn(data, 0, nullptr), shared = learn_on(2, data, 0).front();
  EXPECT_LT((alone.matrix - shared.matrix).abs().max().item<double>(), 1e-5);
  EXPECT_GT(alone.matrix.abs().max().item<double>(), 1e-2);
  EXPECT_NEAR(alone.figures.loss, shared.figures.loss, 1e-6);
}

TEST(LearningOnRanks, AllSkipAStepOfWhichOneShardIsNotFinite) {
  TrainingSet data = forty_three_rows();
  data.features.pooled[kMeans][7].fill_(std::numeric_limits<double>::quiet_NaN());
  const Learnt one = learn_on(1, data, 0).front();
  EXPECT_EQ(one.figures.skipped, 1);
  EXPECT_TRUE(one.matrix.isfinite().all().item<bool>());
  for (const Learnt& learnt : learn_on(3, data, 0)) {
    EXPECT_EQ(learnt.figures.skipped, 1);
    EXPECT_TRUE(learnt.matrix.equal(one.matrix));
  }
}

}  // namespace
}  // namespace moecollab::training
