#include "training/discriminant.h"

#include <gtest/gtest.h>

#include <limits>

namespace moecollab::training {
namespace {

// Four texts sixteen times: (2, 0), (-2, 0), (0, 1), (0, -1). Their mean is 0 and S = diag(2, 1/2).
at::Tensor cross() {
  return at::tensor({2.0F, 0.0F, -2.0F, 0.0F, 0.0F, 1.0F, 0.0F, -1.0F})
      .view({4, 2})
      .repeat({16, 1});
}

// The new texts lie 1 above and below (3, 1): within the two groups of n = 66 texts, S = diag(128,
// 32 + 2)/66 = diag(1.939394, 0.515152). tr S = 2.454545, tr S² = 4.026630, p = 2: ρ = (0
// · 4.026630
// + 6.024793) / ((67 − 1)(4.026630 − 3.012397)) = 0.090004, so S' = (1 − ρ) S + ρ · 1.227273 I =
// diag(1.875300, 0.579246). The means are (3, 1) and 0.
TEST(Discriminants, ByHand) {
  const Discriminants found = fit_discriminants(at::tensor({3.0F, 0.0F, 3.0F, 2.0F}).view({2, 2}),
                                                cross(), std::vector<int>(64, 0), {true});
  ASSERT_EQ(found.directions.size(0), 1) << "a single other domain lies where they all do";
  EXPECT_NEAR(found.directions[0][0].item<double>(), 3 / 1.875300, 1e-5);
  EXPECT_NEAR(found.directions[0][1].item<double>(), 1 / 0.579246, 1e-5);
}

// The covariance is the one within the domains, and every domain's mean counts the same: a second
// domain of fewer texts, the same cross around (6, 0), moves the old texts' mean to (3, 0) only.
// The domains' own directions point away from there.
TEST(Discriminants, DomainsCountTheSameAndTheirDistanceIsNoVariance) {
  const at::Tensor second = cross().narrow(0, 0, 16) + at::tensor({6.0F, 0.0F});
  std::vector<int> domains(64, 0);
  domains.resize(80, 1);
  const Discriminants found = fit_discriminants(at::tensor({3.0F, 1.0F}).view({1, 2}),
                                                at::cat({cross(), second}), domains, {true, true});
  ASSERT_EQ(found.directions.size(0), 3);
  EXPECT_NEAR(found.directions[0][0].item<double>(), 0, 1e-6);
  EXPECT_GT(found.directions[0][1].item<double>(), 1);
  EXPECT_LT(found.directions[1][0].item<double>(), -1);
  EXPECT_NEAR(found.directions[1][1].item<double>(), 0, 1e-6);
  EXPECT_NEAR((found.directions[1] + found.directions[2]).abs().max().item<double>(), 0, 1e-6);
}

// Doubled, a text scores double: its own score comes from the others. Theirs change with it.
TEST(Discriminants, ATextIsNotScoredByItself) {
  at::Tensor fresh = at::tensor({1.0F, 3.0F, 2.0F, 1.0F, 4.0F, 2.0F}).view({3, 2});
  const std::vector<int> domains(64, 0);
  const Discriminants before = fit_discriminants(fresh, cross(), domains, {true});
  fresh[1] *= 2;
  const Discriminants after = fit_discriminants(fresh, cross(), domains, {true});
  EXPECT_NEAR(after.fresh[1].item<double>(), 2 * before.fresh[1].item<double>(), 1e-6);
  EXPECT_GT((after.fresh[0] - before.fresh[0]).abs().item<double>(), 0.1);
  EXPECT_GT((after.replay - before.replay).abs().max().item<double>(), 0.1);
}

TEST(Discriminants, WithoutAnotherDomainThereIsNoDirection) {
  const Discriminants found =
      fit_discriminants(at::ones({3, 2}), cross(), std::vector<int>(64, 0), {false});
  EXPECT_EQ(found.directions.abs().max().item<double>(), 0);
  EXPECT_EQ(found.fresh.abs().max().item<double>(), 0);
}

// A domain of one text is missing from one fold: then it has no direction there.
TEST(Discriminants, ADomainOfOneTextGivesFiniteScores) {
  std::vector<int> domains(64, 0);
  domains.push_back(1);
  const Discriminants found =
      fit_discriminants(at::ones({4, 2}), at::cat({cross(), at::tensor({5.0F, 5.0F}).view({1, 2})}),
                        domains, {true, true});
  EXPECT_EQ(found.replay.size(1), 3);
  EXPECT_TRUE(found.replay.isfinite().all().item<bool>());
  EXPECT_EQ(found.replay[64][2].item<double>(), 0) << "its own score, without it";
}

// One text of each group: the covariance is zero but for float32's noise, and counts as none.
TEST(Discriminants, TextsWithoutVarianceAreToldApartByTheirMeans) {
  const at::Tensor texts = at::sin(at::arange(24, at::kFloat).mul(1.7)).view({3, 8}) * 3;
  const Discriminants found =
      fit_discriminants(texts.narrow(0, 2, 1), texts.narrow(0, 0, 2), {0, 1}, {true, true});
  const at::Tensor apart = texts[2] - texts.narrow(0, 0, 2).mean(0);
  EXPECT_LT((found.directions[0] - apart).abs().max().item<double>(), 1e-5);
}

// Fewer texts than dimensions, and all of them the same.
TEST(Discriminants, FewOrEqualTextsGiveFiniteScores) {
  for (const at::Tensor& replay : {at::eye(8).narrow(0, 0, 3), at::ones({3, 8})}) {
    const Discriminants found = fit_discriminants(at::zeros({2, 8}), replay, {0, 0, 0}, {true});
    EXPECT_TRUE(found.directions.isfinite().all().item<bool>());
    EXPECT_TRUE(found.replay.isfinite().all().item<bool>());
    EXPECT_LT(found.fresh.max().item<double>(), std::numeric_limits<double>::infinity());
  }
}

}  // namespace
}  // namespace moecollab::training
