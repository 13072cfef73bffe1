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

// tr S = 2.5, tr S² = 4.25, p = 2, n = 64: ρ = (0 · 4.25 + 6.25) / ((65 − 1)(4.25 − 3.125)) =
// 6.25 / 72, so S' = (1 − ρ) S + ρ · 1.25 I = diag(1.934896, 0.565104). The new mean is (1, 1).
TEST(Discriminant, ByHand) {
  const Discriminant found = fit_discriminant(at::tensor({0.0F, 2.0F, 2.0F, 0.0F}).view({2, 2}),
                                              cross(), std::vector<int>(64, 0), {true});
  EXPECT_NEAR(found.direction[0].item<double>(), 1 / 1.934896, 1e-6);
  EXPECT_NEAR(found.direction[1].item<double>(), 1 / 0.565104, 1e-6);
}

// The covariance is the one within the domains, and every domain's mean counts the same: a second
// domain of fewer texts, the same cross around (6, 0), moves the old texts' mean to (3, 0) only.
TEST(Discriminant, DomainsCountTheSameAndTheirDistanceIsNoVariance) {
  const at::Tensor second = cross().narrow(0, 0, 16) + at::tensor({6.0F, 0.0F});
  std::vector<int> domains(64, 0);
  domains.resize(80, 1);
  const Discriminant found = fit_discriminant(at::tensor({3.0F, 1.0F}).view({1, 2}),
                                              at::cat({cross(), second}), domains, {true, true});
  EXPECT_NEAR(found.direction[0].item<double>(), 0, 1e-6);
  EXPECT_GT(found.direction[1].item<double>(), 1);
}

// Doubled, a text scores double: its own score comes from the others. Theirs change with it.
TEST(Discriminant, ATextIsNotScoredByItself) {
  at::Tensor fresh = at::tensor({1.0F, 3.0F, 2.0F, 1.0F, 4.0F, 2.0F}).view({3, 2});
  const std::vector<int> domains(64, 0);
  const Discriminant before = fit_discriminant(fresh, cross(), domains, {true});
  fresh[1] *= 2;
  const Discriminant after = fit_discriminant(fresh, cross(), domains, {true});
  EXPECT_NEAR(after.fresh[1].item<double>(), 2 * before.fresh[1].item<double>(), 1e-6);
  EXPECT_GT((after.fresh[0] - before.fresh[0]).abs().item<double>(), 0.1);
  EXPECT_GT((after.replay - before.replay).abs().max().item<double>(), 0.1);
}

TEST(Discriminant, WithoutAnotherDomainThereIsNoDirection) {
  const Discriminant found =
      fit_discriminant(at::ones({3, 2}), cross(), std::vector<int>(64, 0), {false});
  EXPECT_EQ(found.direction.abs().max().item<double>(), 0);
  EXPECT_EQ(found.fresh.abs().max().item<double>(), 0);
}

// Fewer texts than dimensions, and all of them the same.
TEST(Discriminant, FewOrEqualTextsGiveFiniteScores) {
  for (const at::Tensor& replay : {at::eye(8).narrow(0, 0, 3), at::ones({3, 8})}) {
    const Discriminant found = fit_discriminant(at::zeros({2, 8}), replay, {0, 0, 0}, {true});
    EXPECT_TRUE(found.direction.isfinite().all().item<bool>());
    EXPECT_TRUE(found.replay.isfinite().all().item<bool>());
    EXPECT_LT(found.fresh.max().item<double>(), std::numeric_limits<double>::infinity());
  }
}

}  // namespace
}  // namespace moecollab::training
