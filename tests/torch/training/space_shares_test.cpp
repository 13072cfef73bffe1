#include "training/space_shares.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "base/error.h"

namespace moecollab::training {
namespace {

using fusion::OpinionPool;

// Texts of two labels that alternate, z of unrelated sines.
struct SpaceSharesTest : ::testing::Test {
  static constexpr int64_t kTexts = 600;

  // ln p of an expert that gives its answer p; it is right where `right` is.
  static at::Tensor says(const at::Tensor& right, double p) {
    const at::Tensor label = at::arange(kTexts).remainder(2);
    const at::Tensor answer = at::where(right, label, 1 - label);
    return at::one_hot(answer, 2).to(at::kFloat).mul(p / (1 - p) - 1).add(1).mul(1 - p).log();
  }
  // True in that share of the texts, whatever their label and the other calls' numbers are.
  static at::Tensor in_share(double share, double number) {
    const at::Tensor x = at::arange(kTexts, at::kDouble).mul(std::sqrt(number));
    return (x - x.floor()) < share;
  }
  static Opinions opinions(const std::vector<at::Tensor>& experts, bool complete = true) {
    const at::Tensor i = at::arange(kTexts, at::kFloat).unsqueeze(1);
    return {at::sin(i * at::tensor({2.3F, 1.7F, 0.9F})), at::stack(experts, 1),
            at::arange(kTexts).remainder(2), complete};
  }
  static std::vector<double> shares(const SpaceShares& fitted) {
    const at::Tensor w = at::softmax(fitted.bias, 0).to(at::kDouble);
    return {w.const_data_ptr<double>(), w.const_data_ptr<double>() + w.numel()};
  }
  // Without a guard.
  static SpaceShares fit(const Opinions& said, uint64_t seed = 1) {
    return fit_space_shares(said, {seed, /*guarded=*/false, {}}).shares;
  }
  static double loss_by(const Opinions& o, const SpaceShares& s) {
    return losses(o, s).mean().item<double>();
  }
};

TEST_F(SpaceSharesTest, AConstantExpertLosesItsShareToAnHonestOne) {
  const at::Tensor constant = at::tensor({.9F, .1F}).log().expand({kTexts, 2});
  const SpaceShares fitted = fit(opinions({says(in_share(.9, 2), .9), constant}));
  EXPECT_GT(shares(fitted)[0], .9);
  EXPECT_EQ(fitted.penalty, 0);
}

TEST_F(SpaceSharesTest, AFlippedExpertLosesItsShareInALinearPool) {
  const SpaceShares fitted =
      fit(opinions({says(in_share(.9, 2), .9), says(in_share(.1, 3), .9)}, /*complete=*/false));
  EXPECT_EQ(fitted.pool, OpinionPool::kLinear);
  EXPECT_GT(shares(fitted)[0], .9);
}

TEST_F(SpaceSharesTest, TwinsShareEqually) {
  const at::Tensor twin = says(in_share(.8, 2), .8);
  const SpaceShares fitted = fit(opinions({twin, says(in_share(.6, 3), .6), twin}));
  EXPECT_NEAR(shares(fitted)[0], shares(fitted)[2], 1e-4);
  EXPECT_LT(fitted.bias.abs().max().item<double>(), 20);
}

// Three independent witnesses, each as right as it says: the product of what they say is the
// posterior's direction, their mean is too timid.
TEST_F(SpaceSharesTest, IndependentWitnessesArePooledByTheirLogarithms) {
  const Opinions said =
      opinions({says(in_share(.8, 2), .8), says(in_share(.8, 3), .8), says(in_share(.8, 5), .8)});
  const SpaceShares fitted = fit(said);
  EXPECT_EQ(fitted.pool, OpinionPool::kLogarithmic);
  Opinions partial = said;
  partial.complete = false;
  EXPECT_EQ(fit(partial).pool, OpinionPool::kLinear)
      << "a label that an expert does not know has no logarithm";
}

// Two who contradict each other, each sure of its label of three, and one of them always right: of
// the third label, which both deny, a product makes more than their mean.
TEST_F(SpaceSharesTest, WhoContradictEachOtherArePooledLinearly) {
  const at::Tensor label = at::arange(kTexts).remainder(3), first = in_share(.5, 2);
  const auto answers = [&](const at::Tensor& right) {
    const at::Tensor answer = at::where(right, label, (label + 1).remainder(3));
    return at::one_hot(answer, 3).to(at::kFloat).mul(.985).add(.005).log();
  };
  Opinions said = opinions({answers(first), answers(first.logical_not())});
  said.label = label;
  EXPECT_EQ(fit(said).pool, OpinionPool::kLinear);
}

TEST_F(SpaceSharesTest, SharesDependOnTheTextOnlyIfThatPays) {
  const at::Tensor first = at::sin(at::arange(kTexts, at::kFloat) * 2.3F).gt(0);
  const Opinions split = opinions({says(first, .9), says(first.logical_not(), .9)});
  const SpaceShares found = fit(split);
  EXPECT_GT(found.penalty, 0);
  EXPECT_LT(loss_by(split, found), .6 * std::log(2.0));
  const Opinions same = opinions({says(in_share(.8, 2), .8), says(in_share(.8, 3), .8)});
  const SpaceShares none = fit(same);
  EXPECT_EQ(none.penalty, 0);
  EXPECT_EQ(none.weight.abs().max().item<double>(), 0);
}

TEST_F(SpaceSharesTest, TheSeedGivesTheSameBits) {
  const Opinions said = opinions({says(in_share(.8, 2), .8), says(in_share(.7, 3), .7)});
  EXPECT_TRUE(fit(said, 4).bias.equal(fit(said, 4).bias));
}

TEST_F(SpaceSharesTest, OneExpertOrHardlyAnyTexts) {
  const Opinions one = opinions({says(in_share(.8, 2), .8)});
  EXPECT_EQ(shares(fit(one)), std::vector<double>{1});
  const Opinions all = opinions({says(in_share(.8, 2), .8), says(in_share(.1, 3), .9)});
  const Opinions few{all.z.narrow(0, 0, 6), all.log_p.narrow(0, 0, 6), all.label.narrow(0, 0, 6),
                     true};
  const SpaceShares fitted = fit(few);
  EXPECT_EQ(fitted.pool, OpinionPool::kLinear);
  EXPECT_GT(shares(fitted)[0], .5);
  const Opinions none{all.z.narrow(0, 0, 0), all.log_p.narrow(0, 0, 0), all.label.narrow(0, 0, 0),
                      true};
  EXPECT_EQ(shares(fit(none)), (std::vector<double>{.5, .5}));
}

// The first is right more often, but hardly ever sure: by its loss the second deserves the weight.
TEST_F(SpaceSharesTest, TheGuardPullsTowardsAnExpertThatIsRightMoreOften) {
  const Opinions said = opinions({says(in_share(.85, 2), .52), says(in_share(.7, 3), .8)});
  const std::vector<double> before = shares(fit(said));
  const auto [fitted, guard] = fit_space_shares(said, {});
  ASSERT_TRUE(guard);
  EXPECT_EQ(guard->expert, 0);
  EXPECT_EQ(guard->texts, kTexts);
  EXPECT_NEAR(guard->best, .85, .01);
  EXPECT_LT(guard->before, guard->best - .02);
  EXPECT_GE(guard->after, guard->best - .01);
  EXPECT_GT(guard->pull, 0);
  EXPECT_GT(shares(fitted)[0], before[0]);
}

TEST_F(SpaceSharesTest, TheGuardDoesNotPullTowardsAnExpertThatLearntTheTexts) {
  Opinions said = opinions({says(in_share(.85, 2), .52), says(in_share(.7, 3), .8)});
  said.honest = {false, true};
  EXPECT_FALSE(fit_space_shares(said, {}).guard) << "the other one alone is not better";
  said.honest = {false, false};
  EXPECT_FALSE(fit_space_shares(said, {}).guard);
}

TEST_F(SpaceSharesTest, TheGuardLeavesAPoolThatLosesNothing) {
  const Opinions said =
      opinions({says(in_share(.8, 2), .8), says(in_share(.8, 3), .8), says(in_share(.8, 5), .8)});
  const auto [fitted, guard] = fit_space_shares(said, {});
  EXPECT_FALSE(guard);
  EXPECT_TRUE(fitted.bias.equal(fit(said).bias));
}

// Two honest experts among clones of a constant, a flipped one and another constant.
TEST_F(SpaceSharesTest, ASpoiltPoolIsNotWorseThanItsBestExpert) {
  const at::Tensor constant = at::tensor({.9F, .1F}).log().expand({kTexts, 2});
  const Opinions said =
      opinions({says(in_share(.9, 2), .9), constant, constant, says(in_share(.1, 7), .9),
                says(in_share(.85, 3), .85), constant, says(in_share(.12, 5), .9), constant});
  const SpaceShares fitted = fit_space_shares(said, {}).shares;
  const at::Tensor log_w = at::log_softmax(fitted.bias, 0);
  const at::Tensor pooled = fitted.pool == OpinionPool::kLinear
                                ? (log_w.unsqueeze(0).unsqueeze(2) + said.log_p).logsumexp(1)
                                : (log_w.exp().unsqueeze(0).unsqueeze(2) * said.log_p).sum(1);
  const double right = pooled.argmax(1).eq(said.label).to(at::kDouble).mean().item<double>();
  EXPECT_GE(right, .9 - .01);
}

TEST_F(SpaceSharesTest, AStopIsHeard) {
  const std::atomic<bool> stop = true;
  const Opinions said = opinions({says(in_share(.8, 2), .8), says(in_share(.7, 3), .7)});
  EXPECT_THROW(fit_space_shares(said, {.stop = StopToken(stop)}), Error);
}

}  // namespace
}  // namespace moecollab::training
