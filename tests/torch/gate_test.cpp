#include "gate/gate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "gate/objective.h"

namespace moecollab::gate {
namespace {

at::Tensor log_rows(const std::vector<float>& p, int64_t columns) {
  return at::tensor(p).view({-1, columns}).log();
}

TEST(Gate, IsALinearSoftmaxOfStandardisedFeatures) {
  Gate gate;
  gate.mean = at::tensor({1.0F, 2.0F});
  gate.std = at::tensor({2.0F, 0.5F});
  gate.weight = at::tensor({1.0F, 0.0F, 0.0F, 1.0F}).view({2, 2});
  gate.bias = at::tensor({0.0F, 1.0F});
  // z = (3, 3): ẑ = (1, 2); logits (1, 3).
  const at::Tensor logits = gate.router_logits(at::tensor({3.0F, 3.0F}).view({1, 2}));
  EXPECT_NEAR(logits[0][0].item<double>(), 1.0, 1e-6);
  EXPECT_NEAR(logits[0][1].item<double>(), 3.0, 1e-6);
}

TEST(Routing, DenseRowsSumToOne) {
  const at::Tensor w = routing_weights(log_rows({0.2F, 0.3F, 0.5F}, 3), 0);
  EXPECT_NEAR(w[0][2].item<double>(), 0.5, 1e-6);
  EXPECT_NEAR(w.sum().item<double>(), 1.0, 1e-6);
}

// Of (.2, .3, .5) the two greatest stay and are renormalised: (0, .375, .625).
TEST(Routing, TopKRenormalisesAndZeroesTheRest) {
  const at::Tensor w = routing_weights(log_rows({0.2F, 0.3F, 0.5F}, 3), 2);
  EXPECT_EQ(w[0][0].item<float>(), 0.0F);
  EXPECT_NEAR(w[0][1].item<double>(), 0.375, 1e-6);
  EXPECT_NEAR(w[0][2].item<double>(), 0.625, 1e-6);
}

TEST(Routing, TiesGoToTheLowerIndex) {
  const at::Tensor w = routing_weights(at::zeros({1, 4}), 2);
  EXPECT_EQ(w[0][0].item<float>(), 0.5F);
  EXPECT_EQ(w[0][1].item<float>(), 0.5F);
  EXPECT_EQ(w[0][3].item<float>(), 0.0F);
}

TEST(Routing, MoreThanThereAreIsRefused) {
  try {
    routing_weights(at::zeros({1, 3}), 4);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_CONFIG");
    EXPECT_NE(std::string(error.what()).find("4"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("3 experts"), std::string::npos) << error.what();
  }
}

// H(.5, .5) = ln 2; H(1, 0) = 0; H(.25 ×4) = ln 4.
TEST(Objective, EntropyIsTheMeanOfTheRows) {
  EXPECT_NEAR(mean_entropy(at::tensor({0.0F, 0.0F, 50.0F, -50.0F}).view({2, 2})).item<double>(),
              std::log(2.0) / 2, 1e-6);
  EXPECT_NEAR(mean_entropy(at::zeros({3, 4})).item<double>(), std::log(4.0), 1e-6);
}

// ḡ of (.9, .1) and (.5, .5) is (.7, .3); KL to uniform = .7·ln 1.4 + .3·ln .6.
TEST(Objective, BalanceIsTheKlOfTheBatchMean) {
  const at::Tensor logits = log_rows({0.9F, 0.1F, 0.5F, 0.5F}, 2);
  EXPECT_NEAR(balance_kl(logits, at::tensor({0.5F, 0.5F})).item<double>(),
              0.7 * std::log(1.4) + 0.3 * std::log(0.6), 1e-6);
  EXPECT_NEAR(balance_kl(logits, at::tensor({0.7F, 0.3F})).item<double>(), 0.0, 1e-6);
}

// L = task + λ1·H + λ2·KL, signs as the paper prints them.
TEST(Objective, TotalIsTheLiteralSum) {
  const at::Tensor logits = log_rows({0.9F, 0.1F, 0.5F, 0.5F}, 2);
  const at::Tensor prior = at::tensor({0.5F, 0.5F});
  const Objective o = objective(at::tensor(2.0F), logits, prior, {.lambda1 = 0.1, .lambda2 = 0.3});
  const double h = (-(0.9 * std::log(0.9) + 0.1 * std::log(0.1)) + std::log(2.0)) / 2;
  const double kl = 0.7 * std::log(1.4) + 0.3 * std::log(0.6);
  EXPECT_NEAR(o.total.item<double>(), 2.0 + 0.1 * h + 0.3 * kl, 1e-6);
}

TEST(Objective, GradientsAgainstCentralDifferences) {
  const at::Tensor prior = at::tensor({0.2, 0.3, 0.5}, at::kDouble);
  const auto total = [&](const at::Tensor& x) {
    return objective(x.pow(2).mean(), x, prior, {.lambda1 = 0.7, .lambda2 = 1.3}).total;
  };
  at::Tensor x =
      at::tensor({0.3, -0.2, 0.9, 1.1, 0.0, -0.4}, at::kDouble).view({2, 3}).requires_grad_(true);
  total(x).backward();
  for (int64_t i = 0; i < 6; ++i) {
    constexpr double kStep = 1e-6;
    at::Tensor up = x.detach().clone(), down = x.detach().clone();
    up.view({6})[i] += kStep;
    down.view({6})[i] -= kStep;
    const double difference = (total(up).item<double>() - total(down).item<double>()) / (2 * kStep);
    EXPECT_NEAR(x.grad().view({6})[i].item<double>(), difference, 1e-7) << i;
  }
}

TEST(Objective, RefusesBadLambdas) {
  EXPECT_THROW(validate({.lambda1 = -0.1}), Error);
  EXPECT_THROW(validate({.lambda2 = std::numeric_limits<double>::quiet_NaN()}), Error);
  EXPECT_THROW(validate({.lambda2 = std::numeric_limits<double>::infinity()}), Error);
  EXPECT_NO_THROW(validate({.lambda1 = 0, .lambda2 = 0.1}));
}

}  // namespace
}  // namespace moecollab::gate
