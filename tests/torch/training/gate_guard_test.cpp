#include "training/gate_guard.h"

#include <gtest/gtest.h>

#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

// The toy's first expert is right on nine of ten texts of a, but hardly ever sure; its second on
// seven of ten, and sure. The router prefers the second, more so for some texts.
struct GateGuardTest : ::testing::Test {
  GateGuardTest() {
    const at::Tensor i = at::arange(kTexts), label = i.remainder(2);
    // In pairs of texts, one of each label.
    const at::Tensor turn = at::floor_divide(i, 2).remainder(10);
    toy.data.held_out.logits[0] = says(label, turn.lt(9), 0.1);
    toy.data.held_out.logits[1] = says(label, turn.ge(3), 2);
    router = at::sin(i.to(at::kFloat) * 2.9F).unsqueeze(1) * at::tensor({0.0F, 1.0F, 3.0F}) +
             at::tensor({0.0F, 2.0F, 0.5F});
    gate = problem().start();
    gate.bias = at::tensor({0.25F, 2.0F, 0.5F});
  }
  static at::Tensor says(const at::Tensor& label, const at::Tensor& right, double sure) {
    return at::one_hot(at::where(right, label, 1 - label), 2).to(at::kFloat) * sure;
  }
  GateProblem problem(fusion::Mode fusion = fusion::Mode::kMixture) const {
    return toy.problem(fusion);
  }
  std::vector<ShareGuard> guarded() {
    return guard_gate(problem(), guarded_spaces(problem()), router, gate);
  }
  // Mean log-odds of a against b on the texts of a.
  double log_odds_of_a() const {
    const at::Tensor own = router.index_select(0, texts_of_a());
    return (own.narrow(1, 0, 2).logsumexp(1) - own.select(1, 2)).mean().item<double>();
  }
  at::Tensor texts_of_a() const { return toy.data.held_out.targets.lt(2).nonzero().flatten(); }

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
  EXPECT_EQ(guard.expert, 0);
  EXPECT_EQ(guard.texts, texts_of_a().numel());
  EXPECT_NEAR(guard.best, .9, .03);
  EXPECT_LT(guard.before, guard.best - .1);
  EXPECT_GE(guard.after, guard.best - .02);
  const at::Tensor change = router - before;
  EXPECT_NEAR((change.select(1, 0) - change.select(1, 1)).mean().item<double>(), guard.pull, 1e-4);
}

TEST_F(GateGuardTest, ChangesTheGateAsTheRouterAndNoOtherSpace) {
  const at::Tensor router_before = router.clone(), bias_before = gate.bias.clone();
  ASSERT_EQ(guarded().size(), 1U);
  const at::Tensor change = gate.bias - bias_before;
  EXPECT_EQ(change[2].item<float>(), 0);
  EXPECT_TRUE((router - router_before).allclose(change.expand({kTexts, 3}), 1e-5, 1e-5));
}

TEST_F(GateGuardTest, LeavesTheOddsOfTheSpaceOnAverage) {
  const double before = log_odds_of_a();
  ASSERT_EQ(guarded().size(), 1U);
  EXPECT_NEAR(log_odds_of_a(), before, 1e-4);
}

TEST_F(GateGuardTest, LeavesAGateThatLosesNothing) {
  router.select(1, 0) += 9;
  const at::Tensor before = router.clone(), bias = gate.bias.clone();
  EXPECT_TRUE(guarded().empty());
  EXPECT_TRUE(router.equal(before));
  EXPECT_TRUE(gate.bias.equal(bias));
}

TEST_F(GateGuardTest, JudgesSpacesOfSeveralExpertsAndTextsUnderMixture) {
  EXPECT_EQ(guarded_spaces(problem()), std::vector<int>{0}) << "b has one expert";
  EXPECT_TRUE(guarded_spaces(problem(fusion::Mode::kMasked)).empty());
  EXPECT_TRUE(guarded_spaces(problem(fusion::Mode::kLogitUnion)).empty());
  EXPECT_TRUE(guarded_spaces(GateToy(12).problem()).empty()) << "fewer than ten texts of a";
}

}  // namespace
}  // namespace moecollab::training
