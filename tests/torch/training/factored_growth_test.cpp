#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "training/growth.h"
#include "training/growth_guard.h"
#include "training/growth_shares.h"

namespace moecollab::training {
namespace {

using fusion::OpinionPool;

// A gate in two factors over expert a of label space 0 (ids 0, 1); space 1 (ids 2, 3) is new.
class FactoredGrowth : public ::testing::Test {
 protected:
  FactoredGrowth() {
    labels_.add({"old/1", {"x", "y"}}, false);
    labels_.add({"new/1", {"u", "v"}}, false);
    gate_.features = {{1, encoder::Pooling::kMean}};
    gate_.mean = at::zeros({2});
    gate_.std = at::ones({2});
    gate_.weight = at::zeros({1, 2});
    gate_.bias = at::zeros({1});
    gate_.space_weight = at::tensor({-0.5F, 0.1F}).view({1, 2});
    gate_.space_bias = at::tensor({0.2F});
    gate_.spaces = {0};
    setting_.experts = {old_expert()};
  }
  static fusion::ExpertLabels old_expert() { return {0, {0, 1}, 1.0}; }
  static fusion::ExpertLabels new_expert() { return {1, {2, 3}, 1.0}; }

  // n texts around (side, 0) of the old space where side < 0, else of the new one; their first
  // label. Each expert is right by `nats`.
  AnsweredTexts texts(int64_t n, float side, const std::vector<float>& nats) const {
    AnsweredTexts out;
    out.z = at::sin(at::arange(n * 2, at::kFloat).mul(1.7)).view({n, 2}).mul(0.5);
    out.z.select(1, 0).add_(side);
    out.spaces = at::full({n}, side < 0 ? 0 : 1, at::kLong);
    out.targets = at::full({n}, side < 0 ? 0 : 2, at::kLong);
    for (const float by : nats)
      out.logits.push_back(at::tensor({by, 0.0F}).expand({n, 2}).contiguous());
    out.domains = {side < 0 ? "old" : "new"};
    out.domain_of.assign(static_cast<size_t>(n), 0);
    return out;
  }
  bool all_right(const GrownGate& gate, const AnsweredTexts& texts) const {
    return answered_right(gate, labels_, texts, fusion::Mode::kMixture, 0).all().item<bool>();
  }

  GrowthSetting setting_;
  gate::Gate& gate_ = setting_.gate;
  fusion::LabelUnion& labels_ = setting_.labels;
};

// Two new experts of a new space, the second of which is wrong by as much as the first is right.
TEST_F(FactoredGrowth, ANewSpaceGetsOneRowAndFittedShares) {
  setting_.experts.insert(setting_.experts.end(), {new_expert(), new_expert()});
  const AnsweredTexts fresh = texts(20, 2, {2, 3, -3}), replay = texts(200, -2, {2, 3, -3});
  const NewRows rows = RowFit(setting_, fresh, replay, -1).rows();
  ASSERT_EQ(rows.weight.size(0), 1);
  ASSERT_TRUE(rows.shares);
  EXPECT_GT((rows.shares->bias[0] - rows.shares->bias[1]).item<double>(), 2);
  const GrownGate after = grown(setting_, rows);
  EXPECT_EQ(after.gate.spaces, (std::vector<int64_t>{0, 1, 1}));
  EXPECT_TRUE(after.gate.space_weight.narrow(0, 0, 1).equal(gate_.space_weight));
  EXPECT_TRUE(after.gate.space_bias.narrow(0, 0, 1).equal(gate_.space_bias));
  EXPECT_TRUE(after.gate.weight.narrow(0, 0, 1).equal(gate_.weight));
  EXPECT_TRUE(all_right(after, fresh));
  EXPECT_TRUE(all_right(after, replay));
  EXPECT_FALSE(all_right(before(setting_), fresh)) << "before, nobody knew the new labels";
  EXPECT_TRUE(RowFit(setting_, fresh, replay, -1).rows().weight.equal(rows.weight));
}

// Σ m·worth over the spaces, m their mass, is what fusion gives the text's label: the row's loss is
// the mixture's. Each new expert is right on a half of the texts, so their pool is logarithmic.
TEST_F(FactoredGrowth, WorthIsWhatFusionGivesTheLabel) {
  setting_.experts.insert(setting_.experts.end(), {new_expert(), new_expert()});
  AnsweredTexts fresh = texts(40, 0.1F, {2, 2, 1});
  fresh.logits[1].narrow(0, 0, 12).select(1, 0).fill_(-0.5);
  fresh.logits[2].narrow(0, 28, 12).select(1, 0).fill_(-0.5);
  const AnsweredTexts replay = texts(24, -0.1F, {2, 1, 0.5F}), all = joined(fresh, replay);
  const NewRows rows = RowFit(setting_, fresh, replay, -1).rows();
  EXPECT_EQ(rows.shares->pool, OpinionPool::kLogarithmic);
  const GrownGate after = grown(setting_, rows);
  const at::Tensor z = after.gate.standardised(all.z),
                   mass = at::softmax(at::linear(z, after.gate.space_weight, after.gate.space_bias),
                                      1);
  const at::Tensor p = (mass * worth_of_spaces(setting_, *rows.shares, all)).sum(1);
  const at::Tensor fused =
      fusion::fuse(fusion::Mode::kMixture, at::softmax(after.gate.forward(z), 1), all.logits,
                   after.experts, labels_);
  EXPECT_LT(
      (p.log() - fused.gather(1, all.targets.unsqueeze(1)).squeeze(1)).abs().max().item<double>(),
      1e-5);
}

// A text whose label is not known is worth 1 to its own space, and an expert without an answer
// knows nothing: one of two labels.
TEST_F(FactoredGrowth, WorthOfTextsOfWhichLessIsKnown) {
  setting_.experts.push_back(new_expert());
  AnsweredTexts fresh = texts(2, 1, {0, 2});
  fresh.targets[0] = -1;
  fresh.logits[1][1].fill_(std::numeric_limits<float>::quiet_NaN());
  NewRows rows;
  rows.shares = SpaceShares{.weight = at::zeros({1, 2}), .bias = at::zeros({1})};
  const at::Tensor worth = worth_of_spaces(setting_, *rows.shares, fresh);
  EXPECT_LT((worth - at::tensor({0.0, 1.0, 0.0, 0.5}).view({2, 2})).abs().max().item<double>(),
            1e-6);
}

TEST_F(FactoredGrowth, AnotherExpertOfAnOldSpaceLeavesTheRoutingAlone) {
  setting_.experts.push_back(old_expert());
  const AnsweredTexts replay =
      texts(30, -2, {-1, 3});  // the old expert is wrong, the new one right
  const NewRows rows = RowFit(setting_, texts(10, -2, {-1, 3}), replay, 0).rows();
  EXPECT_FALSE(rows.weight.defined());
  EXPECT_EQ(rows.iterations, 0);
  const GrownGate after = grown(setting_, rows);
  EXPECT_TRUE(after.gate.space_weight.equal(gate_.space_weight));
  EXPECT_EQ(after.gate.spaces, (std::vector<int64_t>{0, 0}));
  EXPECT_TRUE(all_right(after, replay));
  EXPECT_FALSE(all_right(before(setting_), replay));
}

// Without an answer of the new expert to any labelled text it gets as much as an old one.
TEST_F(FactoredGrowth, WithoutTextsANewExpertGetsTheMeanOfTheOldOnes) {
  gate_.weight = at::tensor({1.0F, 0.0F, 3.0F, 0.0F}).view({2, 2});
  gate_.bias = at::tensor({0.5F, 1.5F});
  gate_.spaces = {0, 0};
  setting_.experts = {old_expert(), old_expert(), old_expert()};
  AnsweredTexts replay = texts(30, -2, {1, 1, 1}), fresh = texts(5, -2, {1, 1, 1});
  replay.logits[2].fill_(std::numeric_limits<float>::quiet_NaN());
  fresh.targets.fill_(-1);
  const gate::Gate after = grown(setting_, RowFit(setting_, fresh, replay, 0).rows()).gate;
  EXPECT_EQ(after.weight[2][0].item<float>(), 2);
  EXPECT_NEAR(after.bias[2].item<double>(), std::log((std::exp(0.5) + std::exp(1.5)) / 2), 1e-6);
  EXPECT_TRUE(after.weight.narrow(0, 0, 2).equal(gate_.weight));
}

// A single old space has a row of zeros, which says nothing of how long a row should be.
TEST_F(FactoredGrowth, APrototypeBesideASingleSpaceTakesItsOwnTexts) {
  gate_.space_weight = at::zeros({1, 2});
  setting_.experts.push_back(new_expert());
  const AnsweredTexts fresh = texts(20, 2, {2, 2}), replay = texts(20, -2, {2, 2});
  const GrownGate after = grown(setting_, prototype_rows(setting_, fresh.z));
  EXPECT_TRUE(all_right(after, fresh));
  EXPECT_TRUE(all_right(after, replay));
}

// Under a logarithmic pool an expert without an answer may take 27.6 nats times its share from the
// right label, whose lead is 3 nats here: less than a tenth of the pool may be unknown.
TEST_F(FactoredGrowth, AnUnknownAnswerCountsAsWrongInALogarithmicPoolToo) {
  AnsweredTexts replay = texts(5, -2, {3, 3});
  replay.logits[1].fill_(std::numeric_limits<float>::quiet_NaN());
  const auto right = [&](float share) {
    gate::Gate gate = gate_;
    gate.spaces = {0, 0};
    gate.weight = at::zeros({2, 2});
    gate.bias = at::tensor({1 - share, share}).log();
    GrownGate grown{gate, {old_expert(), old_expert()}};
    for (fusion::ExpertLabels& expert : grown.experts) expert.pool = OpinionPool::kLogarithmic;
    return all_right(grown, replay);
  };
  EXPECT_TRUE(right(0.09F));
  EXPECT_FALSE(right(0.11F));
}

// A file may hold rows of experts that are not ready, before and between those that grow.
TEST_F(FactoredGrowth, SharesReachTheRowsThatTheyAreOf) {
  gate::Gate file = gate_;
  file.weight = at::zeros({4, 2});
  file.bias = at::tensor({1.0F, 2.0F, 3.0F, 4.0F});
  file.spaces = {1, 0, 1, 0};
  NewRows rows;
  rows.shares = SpaceShares{.weight = at::ones({3, 2}), .bias = at::tensor({7.0F, 8.0F, 9.0F})};
  const gate::Gate after = extended(file, rows, {0, 2});
  EXPECT_TRUE(after.bias.equal(at::tensor({7.0F, 2.0F, 8.0F, 4.0F, 9.0F})));
  EXPECT_EQ(after.spaces, (std::vector<int64_t>{1, 0, 1, 0, 1}));
}

// The old expert is right by 1 nat, the new one wrong by 1, and gets .6 nats more: the pool is
// wrong until its share is the smaller one, in steps of .25 nats by .75.
TEST_F(FactoredGrowth, SharesAreLoweredUntilTheOldDomainsAreSpared) {
  setting_.experts.push_back(old_expert());
  NewRows rows;
  rows.shares = SpaceShares{.weight = at::zeros({2, 2}), .bias = at::tensor({0.0F, 0.6F})};
  const GrowthGuard guard(setting_, fusion::Mode::kMixture, 0, texts(4, -2, {1, -1}), {});
  EXPECT_FALSE(guard.spares(grown(setting_, rows)));
  double by = -1;
  const NewRows lower = guard.lowered(rows, by);
  EXPECT_EQ(by, 0.75);
  EXPECT_EQ(lower.shares->bias[0].item<double>(), 0);
  EXPECT_NEAR(lower.shares->bias[1].item<double>(), -0.15, 1e-6);
  EXPECT_TRUE(guard.spares(grown(setting_, lower)));
}

}  // namespace
}  // namespace moecollab::training
