#include "training/growth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "training/growth_guard.h"
#include "training/replay_file.h"

namespace moecollab::training {
namespace {

constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

// Label space 0 (ids 0, 1) with experts a and b, and a new space 1 (ids 2, 3) with expert c.
class Growth : public ::testing::Test {
 protected:
  Growth() {
    labels_.add({"old/1", {"x", "y"}}, false);
    labels_.add({"new/1", {"u", "v"}}, false);
    gate_.features = {{1, encoder::Pooling::kMean}};
    gate_.mean = at::zeros({2});
    gate_.std = at::ones({2});
    gate_.weight = at::tensor({3.0F, 4.0F}).view({1, 2});
    gate_.bias = at::zeros({1});
    setting_.experts = {{0, {0, 1}, 1.0}, {1, {2, 3}, 1.0}};
  }
  // n texts around (side, 0), of the old space and label x where side < 0, else new and u.
  AnsweredTexts texts(int64_t n, float side) const {
    AnsweredTexts out;
    out.z = at::sin(at::arange(n * 2, at::kFloat).mul(1.7)).view({n, 2}).mul(0.5);
    out.z.select(1, 0).add_(side);
    out.spaces = at::full({n}, side < 0 ? 0 : 1, at::kLong);
    out.targets = at::full({n}, side < 0 ? 0 : 2, at::kLong);
    const at::Tensor sure = at::tensor({2.0F, 0.0F}).expand({n, 2}).contiguous();
    out.logits = {sure, sure};
    out.domains = {side < 0 ? "old" : "new"};
    out.domain_of.assign(static_cast<size_t>(n), 0);
    return out;
  }

  GrowthSetting setting_;
  gate::Gate& gate_ = setting_.gate;
  fusion::LabelUnion& labels_ = setting_.labels;
};

// New mean (0, 2), one old row (3, 4) of length 5: w = (0, 5). Halfway, at (0, 1), the old row says
// 4 and w says 5, so b = −1.
TEST_F(Growth, PrototypeByHand) {
  const NewRows rows = prototype_rows(setting_, at::tensor({-1.0F, 2.0F, 1.0F, 2.0F}).view({2, 2}));
  EXPECT_LT((rows.weight - at::tensor({0.0F, 5.0F})).abs().max().item<double>(), 1e-5);
  EXPECT_NEAR(rows.bias.item<double>(), -1.0, 1e-5);
}

// Two rows for two experts share the mass of one: b = −1 − ln 2.
TEST_F(Growth, PrototypesOfTwoExpertsShareTheMass) {
  setting_.experts.push_back({1, {2, 3}, 1.0});
  const NewRows rows = prototype_rows(setting_, at::tensor({0.0F, 2.0F}).view({1, 2}));
  EXPECT_EQ(rows.weight.size(0), 2);
  EXPECT_NEAR(rows.bias[1].item<double>(), -1.0 - std::log(2.0), 1e-5);
}

TEST_F(Growth, OldRowsStayBitIdentical) {
  NewRows rows{at::ones({1, 2}), at::ones({1}), 0, 0};
  const gate::Gate grown = extended(gate_, rows, {});
  EXPECT_TRUE(grown.weight.narrow(0, 0, 1).equal(gate_.weight));
  EXPECT_TRUE(grown.bias.narrow(0, 0, 1).equal(gate_.bias));
  EXPECT_TRUE(grown.mean.equal(gate_.mean));
  EXPECT_EQ(grown.experts(), 2);
}

TEST_F(Growth, FittedRowTakesTheNewTextsAndLeavesTheOld) {
  gate_.weight = at::zeros({1, 2});
  const AnsweredTexts fresh = texts(16, 2), replay = texts(200, -2);
  const NewRows rows = RowFit(setting_, fresh, replay, -1).rows();
  const GrownGate after = grown(setting_, rows);
  const gate::Gate& grown = after.gate;
  EXPECT_EQ(grown.router_logits(fresh.z).argmax(1).min().item<int64_t>(), 1);
  EXPECT_EQ(grown.router_logits(replay.z).argmax(1).max().item<int64_t>(), 0);
  EXPECT_TRUE(answered_right(after, labels_, replay, fusion::Mode::kMixture, 0).all().item<bool>());
  EXPECT_TRUE(answered_right(after, labels_, fresh, fusion::Mode::kMixture, 0).all().item<bool>());
  EXPECT_FALSE(answered_right(before(setting_), labels_, fresh, fusion::Mode::kMixture, 0)
                   .any()
                   .item<bool>())
      << "before, nobody knew the new labels";
  EXPECT_TRUE(RowFit(setting_, fresh, replay, -1).rows().weight.equal(rows.weight));
}

// The row wins the new texts, but no more than the cap of its weight is its expert's.
TEST_F(Growth, AnswersAreThoseWithinTheCaps) {
  gate_.weight = at::zeros({1, 2});
  const AnsweredTexts fresh = texts(16, 2), replay = texts(200, -2);
  const NewRows rows = RowFit(setting_, fresh, replay, -1).rows();
  const auto share_right = [&](const GrownGate& gate) {
    return answered_right(gate, labels_, fresh, fusion::Mode::kMixture, 0)
        .to(at::kFloat)
        .mean()
        .item<float>();
  };
  EXPECT_EQ(share_right(grown(setting_, rows)), 1);
  setting_.caps = at::tensor({1.0F, 0.3F});
  EXPECT_EQ(share_right(grown(setting_, rows)), 0) << "the old expert has 0.7";
  EXPECT_EQ(before(setting_).caps.numel(), 1);
  // The guard sees the same: the old texts keep their answers whatever the new row says.
  setting_.caps = at::tensor({1.0F, 0.01F});
  const GrowthGuard guard(setting_, fusion::Mode::kMixture, 0, replay, {});
  NewRows greedy = rows;
  greedy.bias = greedy.bias + 100;
  EXPECT_TRUE(guard.spares(grown(setting_, greedy)));
  setting_.caps = at::Tensor();
  const GrowthGuard unbounded(setting_, fusion::Mode::kMixture, 0, replay, {});
  EXPECT_FALSE(unbounded.spares(grown(setting_, greedy)));
}

// At the minimum the gradient of what fusion calls the task loss is zero in the row's bias and
// along its direction: the row's own loss is the mixture's. Old domain and new text weigh one half
// each. A single new text is scored as it lies.
TEST_F(Growth, TheLossIsTheMixturesTaskLoss) {
  const AnsweredTexts fresh = texts(1, 0.1F), replay = texts(24, -0.1F);
  const NewRows rows = RowFit(setting_, fresh, replay, -1).rows();
  at::Tensor w = rows.weight.clone().requires_grad_(true), b = rows.bias.clone();
  b.requires_grad_(true);
  const auto task = [&](const AnsweredTexts& t) {
    const at::Tensor router = at::cat({gate_.router_logits(t.z), t.z.matmul(w.t()) + b}, 1);
    const at::Tensor fused = fusion::fuse(fusion::Mode::kMixture, at::softmax(router, 1), t.logits,
                                          setting_.experts, labels_);
    return fusion::task_loss(fusion::Mode::kMixture, fused, t.targets, labels_);
  };
  const at::Tensor loss = 0.5 * task(fresh) + 0.5 * task(replay);
  loss.backward();
  EXPECT_NEAR(loss.item<double>(), rows.loss, 1e-5);
  EXPECT_GT(w.norm().item<double>(), 0.1);
  EXPECT_NEAR((w.grad() * w).sum().item<double>(), 0, 1e-4);
  EXPECT_NEAR(b.grad().item<double>(), 0, 1e-4);
}

// The same with two old domains of weights 1 and 3: three directions span the plane, so that the
// whole gradient in w is zero, but for the ridge on two of them.
TEST_F(Growth, DomainsCountByTheirWeights) {
  const AnsweredTexts fresh = texts(1, 0.1F), left = texts(24, -0.1F);
  AnsweredTexts above = texts(24, -0.2F);
  above.z.select(1, 1).add_(0.2F);
  above.domains = {"above"};
  const AnsweredTexts replay = joined(left, above);
  const NewRows rows = RowFit(setting_, fresh, replay, -1).rows({1.0, 3.0});
  const at::Tensor w = rows.weight.clone().requires_grad_(true),
                   b = rows.bias.clone().requires_grad_(true);
  const auto task = [&](const AnsweredTexts& t) {
    const at::Tensor router = at::cat({gate_.router_logits(t.z), t.z.matmul(w.t()) + b}, 1);
    const at::Tensor fused = fusion::fuse(fusion::Mode::kMixture, at::softmax(router, 1), t.logits,
                                          setting_.experts, labels_);
    return fusion::task_loss(fusion::Mode::kMixture, fused, t.targets, labels_);
  };
  const at::Tensor loss = (task(fresh) + task(left) + 3 * task(above)) / 3;
  loss.backward();
  EXPECT_NEAR(loss.item<double>(), rows.loss, 1e-3);
  EXPECT_GT(w.norm().item<double>(), 0.1);
  EXPECT_LT(w.grad().abs().max().item<double>(), 1e-3);
  EXPECT_NEAR(b.grad().item<double>(), 0, 1e-4);
}

// An old domain's weight is worth mass, and a weight of 1 is none.
TEST_F(Growth, AnOldDomainsWeightMovesMassToIt) {
  const AnsweredTexts fresh = texts(16, 0.3F), replay = texts(64, -0.3F);
  RowFit fit(setting_, fresh, replay, -1);
  const NewRows plain = fit.rows();
  const auto mass = [&](const NewRows& rows) {
    return at::softmax(grown(setting_, rows).gate.router_logits(replay.z), 1)
        .select(1, 0)
        .mean()
        .item<double>();
  };
  EXPECT_GT(mass(fit.rows({4.0})), mass(plain) + 0.01);
  EXPECT_NEAR(mass(fit.rows({1.0})), mass(plain), 1e-4) << "and back, from other rows";
}

// Two old domains to the left and right of the new one, which lies above their common centre: its
// own discriminant points straight up. The old row says 3x + 4y, so the left domain is lost to a
// row that says nothing of x; only the directions between old domains let it lean to the right.
TEST_F(Growth, DirectionsBetweenOldDomainsCount) {
  AnsweredTexts fresh = texts(16, 1), replay = texts(128, -2);
  fresh.z.sub_(fresh.z.mean(0)).select(1, 1).add_(0.3F);
  replay.z.narrow(0, 0, 64).sub_(replay.z.narrow(0, 0, 64).mean(0)).select(1, 0).sub_(2);
  replay.z.narrow(0, 64, 64).copy_(-replay.z.narrow(0, 0, 64));
  replay.domains = {"left", "right"};
  std::fill(replay.domain_of.begin() + 64, replay.domain_of.end(), 1);
  const at::Tensor w = RowFit(setting_, fresh, replay, -1).rows().weight[0];
  EXPECT_GT(w[0].item<double>(), 1);
}

// What grow does where an old domain loses: its weight is doubled until it does not, and that of
// the other, which is far away, is not. One text alone is no reason.
TEST_F(Growth, DomainsThatLoseWeighMore) {
  gate_.weight = at::zeros({1, 2});
  const AnsweredTexts fresh = texts(16, 0.3F);
  AnsweredTexts far = texts(64, -4), near = texts(64, -0.3F);
  far.domains = {"far"};
  near.domains = {"near"};
  const AnsweredTexts old = joined(far, near);
  RowFit fit(setting_, fresh, old, -1);
  const GrowthGuard guard(setting_, fusion::Mode::kMixture, 0, old, {});
  const NewRows plain = fit.rows();
  EXPECT_FALSE(guard.spares(grown(setting_, plain)));
  std::vector<double> weights;
  const NewRows rows = guard.sparing(fit, old.domains, weights);
  EXPECT_LT(guard.changes(grown(setting_, rows))[1].before -
                guard.changes(grown(setting_, rows))[1].after,
            guard.changes(grown(setting_, plain))[1].before -
                guard.changes(grown(setting_, plain))[1].after);
  ASSERT_EQ(weights.size(), 2U);
  EXPECT_EQ(weights[0], 1.0);
  EXPECT_GE(weights[1], 2.0);
  EXPECT_LE(weights[1], 32.0);
  using Change = GrowthGuard::Change;
  EXPECT_FALSE((Change{"old", 300, 1.0, 1 - 1.0 / 300}).nearly_too_much());
  EXPECT_TRUE((Change{"old", 600, 1.0, 1 - 2.0 / 600}).nearly_too_much());
  EXPECT_FALSE((Change{"old", 600, 1.0, 1 - 2.0 / 600}).too_much());
}

// Without a replay nothing holds the row back but the prototype that it starts from.
TEST_F(Growth, WithoutReplayTheRowStaysNearThePrototype) {
  const AnsweredTexts fresh = texts(8, 2);
  const NewRows prototype = prototype_rows(setting_, fresh.z);
  const NewRows fitted = RowFit(setting_, fresh, {}, -1).rows();
  EXPECT_LT((fitted.weight - prototype.weight).norm().item<double>(),
            0.5 * prototype.weight.norm().item<double>());
  EXPECT_TRUE(at::isfinite(fitted.weight).all().item<bool>());
}

// With features only, every text of the new space counts, whatever its label.
TEST_F(Growth, FeaturesWithoutLabelsAreEnough) {
  gate_.weight = at::zeros({1, 2});
  AnsweredTexts fresh = texts(16, 2);
  fresh.targets.fill_(-1);
  const NewRows rows = RowFit(setting_, fresh, texts(200, -2), -1).rows();
  EXPECT_EQ(grown(setting_, rows).gate.router_logits(fresh.z).argmax(1).min().item<int64_t>(), 1);
}

// Two new experts of which only the first knows: the labels decide who gets the share.
TEST_F(Growth, LabelsDecideBetweenTwoNewExperts) {
  gate_.weight = at::zeros({1, 2});
  setting_.experts.push_back({1, {2, 3}, 1.0});
  AnsweredTexts fresh = texts(16, 2), replay = texts(64, -2);
  fresh.logits.push_back(at::tensor({0.0F, 2.0F}).expand({16, 2}).contiguous());
  replay.logits.push_back(at::zeros({64, 2}));
  const NewRows rows = RowFit(setting_, fresh, replay, -1).rows();
  const at::Tensor router = grown(setting_, rows).gate.router_logits(fresh.z);
  EXPECT_GT((router.select(1, 1) - router.select(1, 2)).min().item<double>(), 1.0);
}

TEST_F(Growth, WithoutANewTextThereIsNothingToFit) {
  EXPECT_THROW(RowFit(setting_, texts(0, 2), texts(8, -2), -1), Error);
}

// Another domain of the same label space is another domain all the same: the row still points away
// from it. A replay of the new domain alone leaves biases.
TEST_F(Growth, DomainsOfOneSpaceAreToldApart) {
  const AnsweredTexts fresh = texts(16, 2);
  AnsweredTexts replay = texts(64, -2);
  replay.spaces.fill_(1);
  replay.targets.fill_(2);
  EXPECT_GT(RowFit(setting_, fresh, replay, -1).rows().weight.norm().item<double>(), 0.0);
  EXPECT_EQ(RowFit(setting_, fresh, replay, 0).rows().weight.norm().item<double>(), 0.0);
}

// The old expert gives its own label .9. With .6 of the gate's mass it is .54, against .06 and .4
// of an expert whose answer is not known: right whatever that says. With .5 it is .45 against at
// worst .05 + .5.
TEST_F(Growth, AnUnknownAnswerCountsAsWrong) {
  AnsweredTexts text = texts(1, -1);
  text.z = at::zeros({1, 2});
  text.logits = {at::tensor({.9F, .1F}).log().view({1, 2}), at::full({1, 2}, kUnknown)};
  const auto right = [&](double mass) {
    const NewRows rows{at::zeros({1, 2}), at::full({1}, std::log(mass / (1 - mass))), 0, 0};
    return answered_right(grown(setting_, rows), labels_, text, fusion::Mode::kMixture, 0)
        .item<bool>();
  };
  EXPECT_TRUE(right(0.4));
  EXPECT_FALSE(right(0.5));
  const NewRows rows{at::zeros({1, 2}), at::zeros({1}), 0, 0};
  EXPECT_THROW(answered_right(grown(setting_, rows), labels_, text, fusion::Mode::kLogitUnion, 0),
               Error);
}

// The old row says 0 of every text and the new one .6, and both experts are as sure of a label: an
// old text is answered, and routed, by whichever row says more. In steps of .25 nats, .75 is the
// first that brings the new row below the old one.
TEST_F(Growth, RowsAreLoweredUntilTheOldDomainsAreSpared) {
  gate_.weight = at::zeros({1, 2});
  AnsweredTexts replay;
  replay = texts(4, -2);
  AnsweredTexts unseen = replay;
  unseen.targets = at::full({4}, -1, at::kLong);
  const NewRows rows{at::zeros({1, 2}), at::full({1}, 0.6), 0, 0};
  for (const bool routing : {false, true}) {
    const GrowthGuard guard(setting_, fusion::Mode::kMixture, 0, routing ? AnsweredTexts{} : replay,
                            routing ? unseen : AnsweredTexts{});
    EXPECT_FALSE(guard.spares(grown(setting_, rows)));
    double by = -1;
    const NewRows lower = guard.lowered(rows, by);
    EXPECT_EQ(by, 0.75);
    EXPECT_NEAR(lower.bias.item<double>(), -0.15, 1e-6);
    const NewRows greedy{at::zeros({1, 2}), at::full({1}, 9.0), 0, 0};
    const NewRows kept = guard.lowered(greedy, by);
    EXPECT_EQ(kept.bias.item<double>(), 9.0) << "3 nats do not spare it";
    EXPECT_EQ(by, 0);
    EXPECT_FALSE(guard.spares(grown(setting_, kept)));
    const auto lost = routing ? guard.routing_changes(grown(setting_, kept))
                              : guard.changes(grown(setting_, kept));
    ASSERT_EQ(lost.size(), 1U);
    EXPECT_TRUE(lost[0].too_much());
  }
  const GrowthGuard guard(setting_, fusion::Mode::kMixture, 0, replay, {});
  const auto changes = guard.changes(grown(setting_, rows));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].domain, "old");
  EXPECT_EQ(changes[0].texts, 4);
  EXPECT_EQ(changes[0].before, 1.0);
  EXPECT_EQ(changes[0].after, 0.0);
}

TEST_F(Growth, TaskAwareFusionsAreJudgedInTheOwnSpace) {
  const AnsweredTexts replay = texts(5, -1);
  EXPECT_TRUE(answered_right(before(setting_), labels_, replay, fusion::Mode::kMasked, 0)
                  .all()
                  .item<bool>());
  AnsweredTexts wrong = replay;
  wrong.targets.fill_(1);
  EXPECT_FALSE(answered_right(before(setting_), labels_, wrong, fusion::Mode::kMasked, 0)
                   .any()
                   .item<bool>());
}

TEST(ReplayFile, RoundTripsWithUnknownRowsAndRefusesDamage) {
  const TemporaryFolder folder;
  KeptReplay kept;
  kept.encoder_fingerprint = std::string(64, 'e');
  kept.features = {{0, encoder::Pooling::kMean}, {2, encoder::Pooling::kCls}};
  kept.labels = {{"news/1", "a\"b"}, {"legal/1", "ü"}};
  kept.experts = {std::string(64, 'a')};
  kept.texts.domains = {"news", "legal"};
  kept.texts.domain_of = {1, 0, 1};
  kept.texts.targets = at::tensor({1, 0, 1}, at::kLong);
  kept.texts.z = at::arange(12, at::kFloat).view({3, 4});
  kept.texts.logits = {at::tensor({1.0F, 2.0F, kUnknown, kUnknown, 5.0F, 6.0F}).view({3, 2})};
  EXPECT_FALSE(read_replay(folder.path(), "")) << "nothing kept";
  const std::string sha256 = write_replay(folder.path(), kept);
  const auto read = read_replay(folder.path(), sha256);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->texts.domains, kept.texts.domains);
  EXPECT_EQ(read->labels, kept.labels);
  EXPECT_EQ(read->features, kept.features);
  EXPECT_EQ(read->texts.domain_of, kept.texts.domain_of);
  EXPECT_TRUE(read->texts.targets.equal(kept.texts.targets));
  EXPECT_TRUE(read->texts.z.equal(kept.texts.z));
  EXPECT_EQ(read->experts, kept.experts);
  const at::Tensor& logits = read->texts.logits.at(0);
  EXPECT_EQ(logits[2][1].item<float>(), 6.0F);
  EXPECT_TRUE(std::isnan(logits[1][0].item<float>()));

  EXPECT_THROW(read_replay(folder.path(), std::string(64, '0')), Error) << "another digest";
  std::string bytes = read_file(registry::replay_file(folder.path()), "E_TEST");
  bytes.back() ^= 1;
  write_file_atomic(registry::replay_file(folder.path()), bytes);
  EXPECT_THROW(read_replay(folder.path(), sha256), Error) << "one bit";
}

}  // namespace
}  // namespace moecollab::training
