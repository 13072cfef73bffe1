#include "contribution/admission.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace moecollab::contribution {
namespace {

at::Tensor bools(const std::vector<int>& values) {
  return at::tensor(at::ArrayRef<int>(values)).to(at::kBool);
}

// Ten texts: six right before, four after; one fixed, three broken. z = (1 − 3) / √4 = −1.
// Agresti and Min: n' = 12, change' = −2/12, variance = (4 + 1)/12 − 1/36 = 0.388889, standard
// error = √(0.388889 / 12) = 0.1800206, × 1.6448536 = 0.2961075.
TEST(PairedChange, BoundsByHand) {
  const PairedChange c =
      paired_change(bools({1, 1, 1, 1, 1, 1, 0, 0, 0, 0}), bools({1, 1, 1, 0, 0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(c.n, 10);
  EXPECT_EQ(c.fixed, 1);
  EXPECT_EQ(c.broke, 3);
  EXPECT_DOUBLE_EQ(c.before, 0.6);
  EXPECT_DOUBLE_EQ(c.after, 0.4);
  EXPECT_NEAR(c.change, -0.2, 1e-12);
  EXPECT_DOUBLE_EQ(c.z, -1.0);
  EXPECT_NEAR(c.low, -1.0 / 6 - 0.2961075, 1e-6);
  EXPECT_NEAR(c.high, -1.0 / 6 + 0.2961075, 1e-6);
  // (1.6448536 / (0.1666667 − 0.02))² · 0.388889 = 125.7742 · 0.388889 = 48.91.
  EXPECT_EQ(texts_needed(c), 49);
}

// No difference on 40 texts: ± 1.6448536 / 42 = ± 0.03916, which reaches below −0.02; on 400 it is
// ± 1.6448536 / 402 = ± 0.00409.
TEST(PairedChange, FewTextsWithoutADifferenceProveNothing) {
  const at::Tensor few = at::ones({40}, at::kBool), many = at::ones({400}, at::kBool);
  const PairedChange small = paired_change(few, few), large = paired_change(many, many);
  EXPECT_EQ(small.change, 0.0);
  EXPECT_EQ(small.z, 0.0);
  EXPECT_NEAR(small.low, -kZ95OneSided / 42, 1e-12);
  EXPECT_EQ(decide(small, 0.9, 0.5), Verdict::kUndecided);
  EXPECT_EQ(decide(large, 0.9, 0.5), Verdict::kAdmit);
}

TEST(Verdicts, FollowTheBoundsAndTheMajority) {
  PairedChange c;
  c.low = -0.04, c.high = -0.021;
  EXPECT_EQ(decide(c, 0.9, 0.5), Verdict::kRefuse) << "harm";
  c.low = -0.03, c.high = 0.01;
  EXPECT_EQ(decide(c, 0.9, 0.5), Verdict::kUndecided);
  EXPECT_EQ(decide(c, 0.5, 0.5), Verdict::kRefuse) << "as good as the majority class";
  c.low = -0.019, c.high = 0.01;
  EXPECT_EQ(decide(c, 0.51, 0.5), Verdict::kAdmit);
  EXPECT_EQ(decide(c, 0.5, 0.5), Verdict::kRefuse);
  EXPECT_EQ(name(Verdict::kUndecided), "undecided");
}

// Two experts of space 0 and one of space 1: a half for each space, the first shared by two.
TEST(ForcedShare, IsEqualPerSpaceThenWithin) {
  const std::vector<int> spaces = {0, 0, 1};
  EXPECT_EQ(forced_share(spaces, {true, true, true}), (std::vector<double>{0.25, 0.25, 0.5}));
  EXPECT_EQ(forced_share(spaces, {true, false, true}), (std::vector<double>{0.5, 0, 0.5}));
  EXPECT_EQ(forced_share(spaces, {true, true, false}), (std::vector<double>{0.5, 0.5, 0}));
  EXPECT_EQ(forced_share(spaces, {false, false, false}), (std::vector<double>{0, 0, 0}));
}

// Labels 0, 1 of one space and 2, 3 of another. One text of label 0: expert a gives (.9, .1), b the
// opposite, c gives (.2, .8) of its own space.
//   a, c: .5·.9 = .45 against .5·.8 = .40 -> label 0, right
//   a, b, c: .25·.9 + .25·.1 = .25 against .40 -> label 3, wrong
TEST(ForcedPool, FusesByHand) {
  const auto logits = [](float p, float q) { return at::tensor({p, q}).log().view({1, 2}); };
  const fusion::ExpertLabels first{0, {0, 1}, 1.0}, second{1, {2, 3}, 1.0};
  const std::vector<at::Tensor> answers = {over_union(logits(.9F, .1F), first, 4),
                                           over_union(logits(.1F, .9F), first, 4),
                                           over_union(logits(.2F, .8F), second, 4)};
  EXPECT_NEAR(answers[2][0][3].item<double>(), 0.8, 1e-6);
  EXPECT_EQ(answers[2][0][0].item<float>(), 0.0F);
  const ForcedPool pool(answers, {0, 0, 1}, at::zeros({1}, at::kLong));
  EXPECT_EQ(pool.accuracy({true, false, true}), 1.0);
  EXPECT_EQ(pool.accuracy({true, true, true}), 0.0);
  EXPECT_EQ(pool.accuracy({false, false, false}), 0.0);
}

// A temperature flattens: logits ln(.9/.1) at T = 2 are a probability of 3/(3 + 1) = .75.
TEST(ForcedPool, TemperatureCounts) {
  const at::Tensor p = over_union(at::tensor({.9F, .1F}).log().view({1, 2}), {0, {1, 0}, 2.0}, 2);
  EXPECT_NEAR(p[0][1].item<double>(), 0.75, 1e-6);
}

// Two of three suffice, and player 3 adds nothing: efficiency, symmetry, dummy.
TEST(Shapley, SumsToTheWholeAndKnowsTheDummy) {
  int calls = 0;
  const auto value = [&](const std::vector<bool>& c) {
    ++calls;
    return 0.25 + 0.5 * (c[0] + c[1] + c[2] >= 2 ? 1.0 : 0.0);
  };
  const std::vector<double> v = shapley(4, 200, 3, value);
  EXPECT_NEAR(std::accumulate(v.begin(), v.end(), 0.0), 0.5, 1e-12) << "value(all) − value(none)";
  EXPECT_EQ(v[3], 0.0);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(v[static_cast<size_t>(i)], 0.5 / 3, 0.03);
  EXPECT_LE(calls, 16) << "each coalition once";
  EXPECT_EQ(shapley(4, 200, 3, value), v) << "equal seeds";
}

// Where players do not interact, every order gives the same: exact after one.
TEST(Shapley, IsExactForIndependentPlayers) {
  const std::vector<double> worth = {0.5, -0.25, 0.125};
  const auto value = [&](const std::vector<bool>& c) {
    double sum = 0;
    for (size_t i = 0; i < c.size(); ++i) sum += c[i] ? worth[i] : 0;
    return sum;
  };
  EXPECT_EQ(shapley(3, 1, 1, value), worth);
}

}  // namespace
}  // namespace moecollab::contribution
