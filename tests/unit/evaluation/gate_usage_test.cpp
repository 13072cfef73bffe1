#include "evaluation/gate_usage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"

namespace moecollab::evaluation {
namespace {

using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsNan;
using Ids = std::vector<int>;
using Values = std::vector<double>;

// H(½, ¼, ¼) = ½·ln 2 + 2·¼·ln 4 = 1.5·ln 2.
TEST(Entropy, IsInNatsAndTakesZeros) {
  EXPECT_DOUBLE_EQ(entropy(Values{0.5, 0.25, 0.25}), 1.5 * std::log(2));
  EXPECT_DOUBLE_EQ(entropy(Values{1, 0, 0}), 0);
  EXPECT_DOUBLE_EQ(entropy({}), 0);
}

// exp(1.5·ln 2) = 2^1.5 = 2.828427; uniform over four = 4; one alone = 1. Counts are scaled.
TEST(EffectiveNumber, IsTheExponentialOfTheEntropy) {
  EXPECT_NEAR(n_eff(Values{0.5, 0.25, 0.25}), 2.8284271247, 1e-10);
  EXPECT_NEAR(n_eff(Values{1, 1, 1, 1}), 4, 1e-12);
  EXPECT_NEAR(n_eff(Values{0, 3, 0}), 1, 1e-12);
  EXPECT_THAT(n_eff(Values{0, 0}), IsNan());
  // 400 texts of one domain, 200 of each of two others.
  EXPECT_NEAR(n_eff_target(Values{400, 200, 200}), 2.8284271247, 1e-10);
}

// Experts 0 and 2 answer in space 0, expert 1 in space 1.
const Values kGate{0.50, 0.25, 0.25,   // domain 0
                   0.75, 0.25, 0.00,   // domain 0
                   0.00, 1.00, 0.00};  // domain 1
const Ids kSpaceOfExpert{0, 1, 0};
const Ids kDomain{0, 0, 1};

TEST(MeanGate, AveragesOverTexts) {
  EXPECT_THAT(mean_gate(kGate, 3), ElementsAre(DoubleNear(1.25 / 3, 1e-15), DoubleNear(0.5, 1e-15),
                                               DoubleNear(0.25 / 3, 1e-15)));
  EXPECT_THAT(mean_gate({}, 2), ElementsAre(IsNan(), IsNan()));
  EXPECT_THROW(mean_gate(kGate, 4), Error);
}

TEST(SpaceMass, SumsTheExpertsOfASpace) {
  EXPECT_THAT(space_mass(kGate, kSpaceOfExpert, 2), ElementsAre(0.75, 0.25, 0.75, 0.25, 0, 1));
  EXPECT_THROW(space_mass(kGate, Ids{0, 1, 2}, 2), Error);
}

TEST(ArgmaxRows, TakesTheFirstOfEqualValues) {
  EXPECT_THAT(argmax_rows(Values{0.2, 0.8, 0.5, 0.5, 0.9, 0.1}, 2), ElementsAre(1, 0, 0));
  EXPECT_THAT(argmax_rows({}, 2), IsEmpty());
}

// Shares 0.6, 0.3, 0.1 over an ideal of ¼, ½, ¼: 2.4, 0.6, 0.4.
TEST(Load, IsTheShareOverTheIdealShare) {
  EXPECT_THAT(load(Values{0.6, 0.3, 0.1}, Values{0.25, 0.5, 0.25}),
              ElementsAre(DoubleNear(2.4, 1e-12), DoubleNear(0.6, 1e-12), DoubleNear(0.4, 1e-12)));
  // Counts are scaled on both sides: 3 of 4 over an ideal of ½ is 1.5.
  EXPECT_THAT(load(Values{3, 1}, Values{10, 10}), ElementsAre(DoubleEq(1.5), DoubleEq(0.5)));
  EXPECT_THAT(load(Values{1, 1}, Values{1, 0}), ElementsAre(DoubleEq(0.5), IsNan()));
  EXPECT_THROW(load(Values{1}, Values{1, 1}), Error);
}

TEST(Dead, IsALabelSpaceWithLoadBelowATenth) {
  EXPECT_THAT(dead(Values{1.0, 0.0999, 0.1, std::numeric_limits<double>::quiet_NaN(), 0}),
              ElementsAre(1, 4));
}

// Four experts: the bound is 0.1/4 = 0.025.
TEST(Idle, IsAnExpertWithATenthOfTheEvenShare) {
  EXPECT_THAT(idle(Values{0.6, 0.351, 0.025, 0.024}), ElementsAre(3));
  EXPECT_THAT(idle({}), IsEmpty());
}

// Two texts of domain 0, one of domain 1. Mean gate by domain: 0 -> (0.7, 0.3), 1 -> (0.1, 0.9).
// p(d|e0) = (0.7, 0.1)/0.8 = (0.875, 0.125); p(d|e1) = (0.3, 0.9)/1.2 = (0.25, 0.75).
// S(e0) = −0.875·ln 0.875 − 0.125·ln 0.125 = 0.116840 + 0.259930 = 0.376770;
// S(e1) = 0.25·ln 4 + 0.75·ln(4/3) = 0.346574 + 0.215762 = 0.562335; over ln 2 = 0.693147:
// scores 1 − 0.543564 = 0.456436 and 1 − 0.811278 = 0.188722.
// S(d0) = −0.7·ln 0.7 − 0.3·ln 0.3 = 0.610864; S(d1) = −0.1·ln 0.1 − 0.9·ln 0.9 = 0.325083.
TEST(SpecialisationOfExperts, FollowsEquation6) {
  const Values gate{0.6, 0.4, 0.8, 0.2, 0.1, 0.9};
  const Specialisation s = specialisation(gate, 2, Ids{0, 0, 1}, 2);
  EXPECT_THAT(s.domain_given_expert[0],
              ElementsAre(DoubleNear(0.875, 1e-12), DoubleNear(0.125, 1e-12)));
  EXPECT_THAT(s.domain_given_expert[1],
              ElementsAre(DoubleNear(0.25, 1e-12), DoubleNear(0.75, 1e-12)));
  EXPECT_NEAR(s.expert_entropy[0], 0.376770, 1e-6);
  EXPECT_NEAR(s.expert_entropy[1], 0.562335, 1e-6);
  ASSERT_TRUE(s.score[0] && s.score[1]);
  EXPECT_NEAR(*s.score[0], 0.456436, 1e-6);
  EXPECT_NEAR(*s.score[1], 0.188722, 1e-6);
  EXPECT_THAT(s.domain_entropy,
              ElementsAre(DoubleNear(0.610864, 1e-6), DoubleNear(0.325083, 1e-6)));
}

// Two experts: the bound is 0.05. Mean shares 0.96 and 0.04: the second is idle, so no score,
// though p(d|e) is there.
TEST(SpecialisationOfExperts, HasNoScoreForAnIdleExpert) {
  const Specialisation s = specialisation(Values{0.94, 0.06, 0.98, 0.02}, 2, Ids{0, 1}, 2);
  EXPECT_TRUE(s.score[0].has_value());
  EXPECT_FALSE(s.score[1].has_value());
  EXPECT_THAT(s.domain_given_expert[1],
              ElementsAre(DoubleNear(0.75, 1e-12), DoubleNear(0.25, 1e-12)));
}

TEST(SpecialisationOfExperts, IsOneForACleanSplitAndZeroForAnEvenOne) {
  const Specialisation split = specialisation(Values{1, 0, 0, 1}, 2, Ids{0, 1}, 2);
  EXPECT_DOUBLE_EQ(*split.score[0], 1);
  EXPECT_DOUBLE_EQ(split.nmi, 1);
  const Specialisation even =
      specialisation(Values{0.5, 0.5, 0.5, 0.5, 0.5, 0.5}, 2, Ids{0, 1, 2}, 3);
  EXPECT_NEAR(*even.score[0], 0, 1e-15);
  EXPECT_GE(*even.score[0], 0);
  EXPECT_NEAR(even.nmi, 0, 1e-12);
}

TEST(SpecialisationOfExperts, HasNoScoreWithOneDomain) {
  const Specialisation s = specialisation(Values{0.5, 0.5}, 2, Ids{0}, 1);
  EXPECT_FALSE(s.score[0].has_value());
}

TEST(SpecialisationOfExperts, RefusesDomainsThatDoNotFit) {
  EXPECT_THROW(specialisation(kGate, 3, Ids{0, 0}, 2), Error);     // three rows
  EXPECT_THROW(specialisation(kGate, 3, Ids{0, 0, 2}, 2), Error);  // no domain 2
  EXPECT_THROW(specialisation(kGate, 3, Ids{0, 0, 0}, 2), Error);  // domain 1 without a text
}

// Joint counts (3, 1; 1, 3)/8: both marginals ½, H = ln 2 each. Joint entropy
// 2·(3/8·ln(8/3) + 1/8·ln 8) = 2·(0.367811 + 0.259930) = 1.255482; I = 1.386294 − 1.255482
// = 0.130812; normalised by ln 2: 0.188722.
TEST(Nmi, MatchesTheValueByHand) {
  EXPECT_NEAR(nmi({{3, 1}, {1, 3}}), 0.188722, 1e-6);
  EXPECT_THAT(nmi({{1}}), IsNan());
}

// Per domain, mass by space: 0 -> (0.75, 0.25), 1 -> (0, 1); balanced mean (0.375, 0.625):
// H = 0.367811 + 0.293752 = 0.661563, n_eff 1.937818, of 2 spaces 0.968909.
// Top-1 spaces: 0, 0 | 1: balanced (½, ½), n_eff 2, hard 1. Unbalanced it would be (⅔, ⅓).
TEST(UtilisationOfSpaces, WeighsDomainsEqually) {
  const Utilisation u = utilisation(kGate, kSpaceOfExpert, 2, kDomain, 2);
  EXPECT_NEAR(u.soft, 0.968909, 1e-6);
  EXPECT_NEAR(u.hard, 1, 1e-12);
}

}  // namespace
}  // namespace moecollab::evaluation
