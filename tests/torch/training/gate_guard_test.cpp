#include "training/gate_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/run_context.h"
#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

// The toy with b's expert first. The second expert is right on nine of ten texts of a, but not sure
// of itself; the third on seven of ten, and sure. The router prefers the third, more so for some
// texts.
struct GateGuardTest : ::testing::Test {
  GateGuardTest() {
    const at::Tensor i = at::arange(kTexts), label = i.remainder(2);
    // In pairs of texts, one of each label.
    const at::Tensor turn = at::floor_divide(i, 2).remainder(10);
    toy.experts = {toy.experts[2], toy.experts[0], toy.experts[1]};
    toy.data.held_out.logits = {toy.data.held_out.logits[2], says(label, turn.lt(9), 0.5),
                                says(label, turn.ge(3), 2)};
    router = at::sin(i.to(at::kFloat) * 2.9F).unsqueeze(1) * at::tensor({3.0F, 0.0F, 1.0F}) +
             at::tensor({-8.0F, 0.0F, 2.0F}) +
             in_b().unsqueeze(1) * at::tensor({20.0F, 0.0F, 0.0F});
    gate = problem().start();
    gate.bias = at::tensor({0.5F, 0.25F, 2.0F});
  }
  static at::Tensor says(const at::Tensor& label, const at::Tensor& right, double sure) {
    return at::one_hot(at::where(right, label, 1 - label), 2).to(at::kFloat) * sure;
  }
  GateProblem problem(fusion::Mode fusion = fusion::Mode::kMixture) const {
    return toy.problem(fusion);
  }
  std::vector<ShareGuard> guarded(Log log = Log()) {
    return guard_gate(problem(), guarded_spaces(problem()), {"of b", "better", "surer"}, log,
                      router, gate);
  }
  at::Tensor in_b() const { return toy.data.held_out.targets.ge(2); }
  at::Tensor texts_of_a() const { return toy.data.held_out.targets.lt(2).nonzero().flatten(); }
  // Mean log-odds of a against b on the texts of a.
  double log_odds_of_a() const {
    const at::Tensor own = router.index_select(0, texts_of_a());
    return (own.narrow(1, 1, 2).logsumexp(1) - own.select(1, 0)).mean().item<double>();
  }

  static constexpr int64_t kTexts = 400;
  GateToy toy{kTexts};
  at::Tensor router;  // [N, 3]
  gate::Gate gate;
};

TEST_F(GateGuardTest, PullsTowardsTheExpertThatIsRightMoreOften) {
  const at::Tensor before = router.clone();
  const std::vector<ShareGuard> guards = guarded();
  ASSERT_EQ(guards.size(), 1U);
  const ShareGuard& guard = guards.front();
  EXPECT_EQ(guard.expert, 1);
  EXPECT_EQ(guard.texts, texts_of_a().numel());
  EXPECT_NEAR(guard.best, .9, .03);
  EXPECT_LT(guard.before, guard.best - .1);
  EXPECT_GE(guard.after, guard.best - .02) << "about one standard error";
  const at::Tensor change = router - before;
  EXPECT_NEAR((change.select(1, 1) - change.select(1, 2)).mean().item<double>(), guard.pull, 1e-4);
}

TEST_F(GateGuardTest, ChangesTheGateAsTheRouterAndNoOtherSpace) {
  const at::Tensor router_before = router.clone(), bias_before = gate.bias.clone();
  ASSERT_EQ(guarded().size(), 1U);
  const at::Tensor change = gate.bias - bias_before;
  EXPECT_EQ(change[0].item<float>(), 0);
  EXPECT_GT(change[1].item<float>(), 0);
  EXPECT_LT(change[2].item<float>(), 0);
  EXPECT_TRUE((router - router_before).allclose(change.expand({kTexts, 3}), 1e-5, 1e-5));
}

TEST_F(GateGuardTest, LeavesTheOddsOfTheSpaceOnAverage) {
  const double before = log_odds_of_a();
  ASSERT_EQ(guarded().size(), 1U);
  EXPECT_NEAR(log_odds_of_a(), before, 1e-4);
}

TEST_F(GateGuardTest, LeavesAGateThatLosesNothing) {
  router.select(1, 1) += 9;
  const at::Tensor before = router.clone(), bias = gate.bias.clone();
  EXPECT_TRUE(guarded().empty());
  EXPECT_TRUE(router.equal(before));
  EXPECT_TRUE(gate.bias.equal(bias));
}

// Once it is raised, a row that is the same for all texts draws the texts of b.
TEST_F(GateGuardTest, TakesNoPullThatLosesTextsOverAllLabels) {
  router = at::where(in_b().unsqueeze(1), at::tensor({0.0F, 0.0F, -5.0F}),
                     at::tensor({-2.0F, 0.0F, 1.0F}));
  const at::Tensor before = router.clone(), bias = gate.bias.clone();
  CollectingLog said{Log()};
  EXPECT_TRUE(guarded(said.log()).empty());
  EXPECT_THAT(said.texts(), ::testing::ElementsAre(::testing::HasSubstr("better is right more")));
  EXPECT_TRUE(router.equal(before));
  EXPECT_TRUE(gate.bias.equal(bias));
}

TEST_F(GateGuardTest, AnExpertThatLearntTheTextsIsNotTheBest) {
  toy.data.held_out.seen = {0, 40, 0};
  EXPECT_TRUE(guarded().empty());
}

TEST_F(GateGuardTest, JudgesSpacesOfSeveralExpertsAndTextsUnderMixture) {
  EXPECT_EQ(guarded_spaces(problem()), std::vector<int>{0}) << "b has one expert";
  EXPECT_TRUE(guarded_spaces(problem(fusion::Mode::kMasked)).empty());
  EXPECT_TRUE(guarded_spaces(problem(fusion::Mode::kLogitUnion)).empty());
  EXPECT_TRUE(guarded_spaces(GateToy(12).problem()).empty()) << "fewer than ten texts of a";
}

}  // namespace
}  // namespace moecollab::training
