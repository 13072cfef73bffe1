#include "gate/gate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"
#include "gate/objective.h"

namespace moecollab::gate {
namespace {

at::Tensor log_rows(const std::vector<float>& p, int64_t columns) {
  return at::tensor(p).view({-1, columns}).log();
}

TEST(Gate, ReadsEmbeddingsMiddleAndLastLayerEachOnce) {
  const auto layers = [](int64_t count) {
    Gate gate;
    gate.features = default_features(count);
    std::vector<int> read;
    for (const encoder::PooledKey& key : gate.features) read.push_back(key.layer);
    EXPECT_EQ(gate.layer(), count);
    return read;
  };
  EXPECT_EQ(layers(6), (std::vector{0, 3, 6}));
  EXPECT_EQ(layers(4), (std::vector{0, 2, 4}));
  EXPECT_EQ(layers(1), (std::vector{0, 1}));
  EXPECT_EQ(layers(0), (std::vector{0}));
  Gate gate;
  gate.features = {{5, encoder::Pooling::kMean}, {2, encoder::Pooling::kCls}};
  EXPECT_EQ(gate.layer(), 5);
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

// The two greatest of (.2, .3, .5) stay and are renormalised: (0, .375, .625).
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

TEST(Routing, WhatIsAboveACapGoesToTheOthersInProportion) {
  const at::Tensor w = at::tensor({0.7F, 0.2F, 0.1F}).view({1, 3});
  // 0.7 becomes 0.5, the other 0.5 is split 2 : 1.
  EXPECT_TRUE(gate::capped(w, at::tensor({0.5F, 1.0F, 1.0F}))
                  .allclose(at::tensor({0.5F, 1.0F / 3, 0.5F / 3}).view({1, 3})));
  // That lifts the second above 0.3: the third gets what is left.
  EXPECT_TRUE(gate::capped(w, at::tensor({0.5F, 0.3F, 1.0F}))
                  .allclose(at::tensor({0.5F, 0.3F, 0.2F}).view({1, 3})));
  EXPECT_TRUE(gate::capped(w, at::tensor({0.8F, 1.0F, 1.0F})).equal(w));
  const at::Tensor alone = at::tensor({1.0F, 0.0F, 0.0F}).view({1, 3});
  EXPECT_TRUE(gate::capped(alone, at::tensor({0.5F, 1.0F, 1.0F})).equal(alone));
  EXPECT_TRUE(gate::capped(w, at::tensor({0.2F, 0.2F, 0.2F})).equal(w)) << "no room at all";
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

// The gradient of f at x [n, E] against central differences.
void expect_gradient(const std::function<at::Tensor(const at::Tensor&)>& f) {
  at::Tensor x =
      at::tensor({0.3, -0.2, 0.9, 1.1, 0.0, -0.4}, at::kDouble).view({2, 3}).requires_grad_(true);
  f(x).backward();
  for (int64_t i = 0; i < 6; ++i) {
    constexpr double kStep = 1e-6;
    at::Tensor up = x.detach().clone(), down = x.detach().clone();
    up.view({6})[i] += kStep;
    down.view({6})[i] -= kStep;
    const double difference = (f(up).item<double>() - f(down).item<double>()) / (2 * kStep);
    EXPECT_NEAR(x.grad().view({6})[i].item<double>(), difference, 1e-7) << i;
  }
}

// The paper's prose has the sign the other way round: L = task − λ1·H.
TEST(Objective, ExploreSubtractsTheEntropy) {
  const at::Tensor logits = at::zeros({3, 4});  // H = ln 4
  const at::Tensor prior = at::full({4}, 0.25);
  const ObjectiveOptions options{.lambda1 = 0.5, .entropy_sign = EntropySign::kExplore};
  EXPECT_NEAR(objective(at::tensor(2.0F), logits, prior, options).total.item<double>(),
              2.0 - 0.5 * std::log(4.0), 1e-6);
  EXPECT_EQ(parse_entropy_sign("explore"), EntropySign::kExplore);
  EXPECT_EQ(name(EntropySign::kLiteral), "literal");
  EXPECT_THROW(parse_entropy_sign("Literal"), Error);
}

// (.9, .1), (.2, .8): f = (.5, .5), P = (.55, .45): 2·(.275 + .225) = 1, balanced.
// (.9, .1), (.5, .5), the tie to the lower index: f = (1, 0), P = (.7, .3): 2·.7 = 1.4.
TEST(Objective, SwitchIsTheLoadOfFedus) {
  EXPECT_NEAR(switch_load(log_rows({0.9F, 0.1F, 0.2F, 0.8F}, 2)).item<double>(), 1.0, 1e-6);
  EXPECT_NEAR(switch_load(log_rows({0.9F, 0.1F, 0.5F, 0.5F}, 2)).item<double>(), 1.4, 1e-6);
}

// ḡ = (.7, .3): mean .5, variance .04, .04 / .25 = .16. Uniform: 0.
TEST(Objective, ImportanceIsTheSquaredCoefficientOfVariation) {
  EXPECT_NEAR(importance_cv2(log_rows({0.9F, 0.1F, 0.5F, 0.5F}, 2)).item<double>(), 0.16, 1e-6);
  EXPECT_NEAR(importance_cv2(at::zeros({2, 5})).item<double>(), 0.0, 1e-6);
}

// logsumexp(0, 0) = ln 2; logsumexp(1, 1) = 1 + ln 2.
TEST(Objective, ZLossIsTheMeanSquaredLogsumexp) {
  const double ln2 = std::log(2.0);
  EXPECT_NEAR(z_loss(at::tensor({0.0F, 0.0F, 1.0F, 1.0F}).view({2, 2})).item<double>(),
              (ln2 * ln2 + (1 + ln2) * (1 + ln2)) / 2, 1e-6);
}

TEST(Objective, EachTermsGradient) {
  expect_gradient([](const at::Tensor& x) { return switch_load(x); });
  expect_gradient([](const at::Tensor& x) { return importance_cv2(x); });
  expect_gradient([](const at::Tensor& x) { return z_loss(x); });
  const at::Tensor prior = at::tensor({0.2, 0.3, 0.5}, at::kDouble);
  const ObjectiveOptions all{.lambda1 = 0.7,
                             .lambda2 = 1.3,
                             .entropy_sign = EntropySign::kExplore,
                             .free_bits = 1e-3,
                             .switch_load = 0.4,
                             .importance_cv2 = 0.9,
                             .z_loss = 0.2};
  expect_gradient(
      [&](const at::Tensor& x) { return objective(x.pow(2).mean(), x, prior, all).total; });
}

// Rows (.9, .1), (.5, .5): switch 1.4, cv² .16, logsumexp 0, so total = 2 + .1·1.4 + .5·.16.
TEST(Objective, FurtherTermsAreNamedAndAddedOnlyWhereTheyAreOn) {
  const at::Tensor logits = log_rows({0.9F, 0.1F, 0.5F, 0.5F}, 2);
  const at::Tensor prior = at::tensor({0.5F, 0.5F});
  EXPECT_TRUE(objective(at::tensor(2.0F), logits, prior, {}).further.empty());
  const Objective o = objective(at::tensor(2.0F), logits, prior,
                                {.switch_load = 0.1, .importance_cv2 = 0.5, .z_loss = 3});
  ASSERT_EQ(o.further.size(), 3U);
  EXPECT_EQ(o.further[0].name, "switch");
  EXPECT_EQ(o.further[1].name, "importance-cv2");
  EXPECT_EQ(o.further[2].name, "z-loss");
  EXPECT_NEAR(o.total.item<double>(), 2.0 + 0.14 + 0.08, 1e-6);
}

// KL(.7, .3 ‖ uniform) = .7·ln 1.4 + .3·ln .6 = .0823: under .1 free nats the balance term is .1
// and flat, under .05 it is the KL.
TEST(Objective, FreeBitsFlattenTheBalanceTerm) {
  const double kl = 0.7 * std::log(1.4) + 0.3 * std::log(0.6);
  const at::Tensor prior = at::tensor({0.5F, 0.5F});
  at::Tensor x = log_rows({0.9F, 0.1F, 0.5F, 0.5F}, 2).requires_grad_(true);
  const auto terms = [&](double free) {
    return objective(at::tensor(0.0F), x, prior, {.lambda2 = 2, .free_bits = free});
  };
  EXPECT_NEAR(terms(0.1).total.item<double>(), 2 * 0.1, 1e-6);
  EXPECT_NEAR(terms(0.1).balance.item<double>(), kl, 1e-6) << "the term itself is shown as it is";
  EXPECT_NEAR(terms(0.05).total.item<double>(), 2 * kl, 1e-6);
  terms(0.1).total.backward();
  EXPECT_EQ(x.grad().abs().max().item<float>(), 0.0F);
  terms(0.05).total.backward();
  EXPECT_GT(x.grad().abs().max().item<float>(), 0.01F);
}

// N = 2: ḡ_1 = m_1; ḡ_2 = (½·m_1 + m_2) / 1½. For m_1 = (.7, .3), m_2 = (.4, .6): (.5, .5).
TEST(BalanceWindow, IsAnExponentialMeanOfTheBatches) {
  BalanceWindow window(2);
  const at::Tensor first = window.mean(at::tensor({0.7F, 0.3F}));
  EXPECT_NEAR(first[0].item<double>(), 0.7, 1e-6);
  const at::Tensor second = window.mean(at::tensor({0.4F, 0.6F}));
  EXPECT_NEAR(second[0].item<double>(), 0.5, 1e-6);
  EXPECT_NEAR(second[1].item<double>(), 0.5, 1e-6);
  EXPECT_TRUE(BalanceWindow(0).mean(at::tensor({0.4F, 0.6F})).equal(at::tensor({0.4F, 0.6F})));
}

TEST(BalanceWindow, ForgetsABatchThatIsNotFinite) {
  BalanceWindow window(2);
  window.mean(at::tensor({0.7F, 0.3F}));
  EXPECT_FALSE(window.mean(at::full({2}, NAN)).isfinite().any().item<bool>());
  EXPECT_NEAR(window.mean(at::tensor({0.4F, 0.6F}))[0].item<double>(), 0.5, 1e-6);
}

// The gradient is that of KL(c + mean(x) ‖ π), c the constant by which the window differs.
TEST(BalanceWindow, PassesTheBatchsGradientAtFullWeight) {
  const at::Tensor prior = at::tensor({0.2, 0.3, 0.5}, at::kDouble);
  const at::Tensor before = at::tensor({0.5, 0.25, 0.25}, at::kDouble);
  at::Tensor constant;
  expect_gradient([&](const at::Tensor& x) {
    const at::Tensor batch = at::softmax(x, -1).mean(0);
    if (!x.requires_grad()) return kl_to_prior(batch + constant, prior);
    BalanceWindow window(4);
    window.mean(before);
    const at::Tensor mean = window.mean(batch);
    constant = (mean - batch).detach();
    EXPECT_GT(constant.abs().max().item<double>(), 0.01);
    return kl_to_prior(mean, prior);
  });
}

TEST(Gate, HiddenLayerIsARectifiedOne) {
  Gate gate = make_gate({{2, encoder::Pooling::kMean}}, at::eye(2), 2);
  gate.mean = at::zeros({2});
  gate.std = at::ones({2});
  gate.hidden_weight = at::tensor({1.0F, 0.0F, 0.0F, -1.0F}).view({2, 2});
  gate.hidden_bias = at::tensor({1.0F, 0.0F});
  gate.weight = at::tensor({2.0F, 0.0F, 0.0F, 1.0F}).view({2, 2});
  gate.bias = at::tensor({0.5F, -1.0F});
  // ẑ = (3, 5): hidden (3 + 1, max(0, −5)) = (4, 0); logits (8 + .5, −1).
  const at::Tensor logits = gate.router_logits(at::tensor({3.0F, 5.0F}).view({1, 2}));
  EXPECT_NEAR(logits[0][0].item<double>(), 8.5, 1e-6);
  EXPECT_NEAR(logits[0][1].item<double>(), -1.0, 1e-6);
  EXPECT_EQ(gate.flops_per_text(), 2 * (4 + 4));
}

TEST(Gate, ANewHiddenLayerIsOfTheSeedAndLeavesTheGateUniform) {
  const auto make = [](uint64_t seed) {
    Gate gate = make_gate({{2, encoder::Pooling::kMean}}, at::eye(3), 4);
    add_hidden_layer(gate, 5, seed);
    return gate;
  };
  EXPECT_TRUE(make(3).hidden_weight.equal(make(3).hidden_weight));
  EXPECT_FALSE(make(3).hidden_weight.equal(make(4).hidden_weight));
  EXPECT_EQ(make(3).parameters().size(), 4U);
  EXPECT_LE(make(3).hidden_weight.abs().max().item<double>(), 1 / std::sqrt(3.0));
  const at::Tensor g = routing_weights(make(3).router_logits(at::randn({2, 3})), 0);
  EXPECT_TRUE(g.equal(at::full({2, 4}, 0.25F)));
}

// Three experts, the first two of one space.
Gate two_factors() {
  Gate gate = make_gate({{2, encoder::Pooling::kMean}}, at::eye(2), 3);
  gate.mean = at::zeros({2});
  gate.std = at::ones({2});
  gate.spaces = {0, 0, 1};
  gate.space_weight = at::tensor({1.0F, 0.0F, 0.0F, 1.0F}).view({2, 2});
  gate.space_bias = at::tensor({std::log(3.0F), 0.0F});
  gate.weight = at::tensor({0.0F, 1.0F, 0.0F, 0.0F, 5.0F, 5.0F}).view({3, 2});
  gate.bias = at::tensor({0.0F, std::log(2.0F), -7.0F});
  return gate;
}

// ẑ = (ln 2, ln 3): the spaces' scores are ln 6 and ln 3, so P = (2/3, 1/3); within the first ln 3
// and ln 2, so w = (3/5, 2/5); the third expert is alone in its space.
TEST(Gate, InTwoFactorsIsTheirProduct) {
  const Gate gate = two_factors();
  const at::Tensor logits =
      gate.router_logits(at::tensor({std::log(2.0F), std::log(3.0F)}).view({1, 2}));
  const double expected[] = {2.0 / 3 * 3 / 5, 2.0 / 3 * 2 / 5, 1.0 / 3};
  for (int64_t e = 0; e < 3; ++e)
    EXPECT_NEAR(logits[0][e].exp().item<double>(), expected[e], 1e-6) << e;
  EXPECT_EQ(gate.flops_per_text(), 2 * (4 + 6));
  Gate fitted = gate;
  EXPECT_EQ(fitted.parameters().size(), 2U) << "shares within a space are settled before";
}

// Far from any other score of the space, or all of them far down.
TEST(Gate, SharesWithinASpaceDoNotOverflow) {
  Gate gate = two_factors();
  gate.bias = at::tensor({-2000.0F, -2001.0F, 3000.0F});
  const at::Tensor share = gate.log_share_in_space(at::zeros({1, 2})).exp();
  EXPECT_NEAR(share[0][0].item<double>(), 1 / (1 + std::exp(-1.0)), 1e-4);
  EXPECT_NEAR(share[0][2].item<double>(), 1, 1e-6);
}

TEST(Gate, WhatALeftOutExpertHadGoesToItsSpace) {
  const Gate gate = two_factors();
  const at::Tensor z = at::tensor({std::log(2.0F), std::log(3.0F)}).view({1, 2});
  const at::Tensor without_first = routing_weights(with_experts(gate, {1, 2}).router_logits(z), 0);
  EXPECT_NEAR(without_first[0][0].item<double>(), 2.0 / 3, 1e-6);
  const at::Tensor without_space = routing_weights(with_experts(gate, {0, 1}).router_logits(z), 0);
  EXPECT_NEAR(without_space[0][0].item<double>(), 3.0 / 5, 1e-6);
}

TEST(Gate, InOneFactorTheOthersShare) {
  const Gate gate = make_gate({{2, encoder::Pooling::kMean}}, at::eye(2), 3);
  const at::Tensor g = routing_weights(with_experts(gate, {0, 2}).router_logits(at::eye(2)), 0);
  EXPECT_TRUE(g.equal(at::full({2, 2}, 0.5F)));
}

// What is left out while a run lasts counts as what is left out when the gate is opened.
TEST(Gate, LeavingExpertsOutOfItsLogitsIsTheGateOverTheOthers) {
  at::manual_seed(5);
  Gate linear = make_gate({{2, encoder::Pooling::kMean}}, at::randn({9, 3}), 4);
  linear.weight = at::randn({4, 3});
  Gate factored = linear;
  factored.spaces = {0, 0, 0, 1};
  factored.space_weight = at::randn({2, 3});
  factored.space_bias = at::randn({2});
  const at::Tensor z = at::randn({6, 3});
  for (const Gate& gate : {linear, factored}) {
    for (const std::vector<int64_t>& kept :
         std::vector<std::vector<int64_t>>{{0, 1, 3}, {1, 3}, {0, 1, 2}, {3}}) {
      std::vector<bool> left_out(4, true);
      for (const int64_t e : kept) left_out[static_cast<size_t>(e)] = false;
      const at::Tensor weights =
          routing_weights(without_experts(gate, gate.router_logits(z), left_out), 0);
      const at::Tensor others = routing_weights(with_experts(gate, kept).router_logits(z), 0);
      EXPECT_TRUE(
          weights.index_select(1, at::tensor(kept, at::kLong)).allclose(others, 1e-5, 1e-6));
      EXPECT_TRUE(weights.sum(1).allclose(at::ones({6})));
    }
  }
}

TEST(Objective, RefusesBadLambdas) {
  EXPECT_THROW(validate({.lambda1 = 1e30}), Error);
  EXPECT_THROW(validate({.free_bits = -1}), Error);
  EXPECT_THROW(validate({.switch_load = -1}), Error);
  EXPECT_THROW(validate({.importance_cv2 = std::nan("")}), Error);
  EXPECT_THROW(validate({.z_loss = 1e7}), Error);
  EXPECT_THROW(validate({.balance_window = -1}), Error);
  EXPECT_THROW(validate({.lambda1 = -0.1}), Error);
  EXPECT_THROW(validate({.lambda2 = std::numeric_limits<double>::quiet_NaN()}), Error);
  EXPECT_THROW(validate({.lambda2 = std::numeric_limits<double>::infinity()}), Error);
  EXPECT_NO_THROW(validate({.lambda1 = 0, .lambda2 = 0.1}));
}

}  // namespace
}  // namespace moecollab::gate
