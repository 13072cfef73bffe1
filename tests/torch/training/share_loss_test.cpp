#include "training/share_loss.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "training/space_shares.h"

namespace moecollab::training {
namespace {

using fusion::OpinionPool;

constexpr int64_t kTexts = 40, kExperts = 3, kLabels = 4, kInputs = 5, kFits = 2;
constexpr double kPenalty = 7;

Opinions opinions() {
  at::manual_seed(3);
  return {at::randn({kTexts, kInputs}),
          at::log_softmax(at::randn({kTexts, kExperts, kLabels}) * 2, -1),
          at::randint(kLabels, {kTexts}), true};
}

// One fit takes all texts, the other every third.
at::Tensor takes() {
  at::Tensor takes = at::ones({kFits, kTexts});
  takes[1] = at::arange(kTexts).remainder(3).eq(0).to(at::kFloat);
  return takes;
}

// −ln p(label) of each text [n] by the definition, for W [k, D] and b [k] of one fit; float64.
at::Tensor lost(const Opinions& said, OpinionPool pool, const at::Tensor& weight,
                const at::Tensor& bias) {
  const at::Tensor log_w = at::log_softmax(at::linear(said.z.to(at::kDouble), weight, bias), 1),
                   log_p = said.log_p.to(at::kDouble), label = said.label.unsqueeze(1);
  const at::Tensor pooled = pool == OpinionPool::kLinear
                                ? (log_w.exp().unsqueeze(2) * log_p.exp()).sum(1).log()
                                : at::log_softmax((log_w.exp().unsqueeze(2) * log_p).sum(1), 1);
  return -pooled.gather(1, label).squeeze(1);
}

struct ShareLossTest : ::testing::TestWithParam<OpinionPool> {};

TEST_P(ShareLossTest, TextsLoseWhatTheDefinitionSays) {
  const Opinions said = opinions();
  const at::Tensor weight = at::randn({kExperts, kInputs}), bias = at::randn({kExperts});
  const at::Tensor expected = lost(said, GetParam(), weight.to(at::kDouble), bias.to(at::kDouble));
  const at::Tensor found = losses(said, {weight, bias, GetParam()});
  EXPECT_LT((found - expected).abs().max().item<double>(), 1e-5);
}

// Value and slope against autograd's in float64, with and without W, of fits over different texts.
TEST_P(ShareLossTest, TheSlopeIsThatOfTheObjective) {
  const Opinions said = opinions();
  for (const double penalty : {0.0, kPenalty}) {
    const ShareObjective objective(said, GetParam(), penalty, takes());
    const at::Tensor x = at::randn({kFits, objective.numbers()}, at::kDouble);
    const BatchedLbfgs::Evaluation found = objective.evaluate(x, at::arange(kFits));
    for (int64_t f = 0; f < kFits; ++f) {
      const at::AutoGradMode with_gradient(true);
      const at::Tensor own = x[f].clone().requires_grad_(true), bias = own.narrow(0, 0, kExperts);
      const at::Tensor weight =
          penalty == 0 ? at::zeros({kExperts, kInputs}, at::kDouble)
                       : own.narrow(0, kExperts, kExperts * kInputs).view({kExperts, kInputs});
      const at::Tensor taken = takes()[f].to(at::kDouble), n = taken.sum();
      const at::Tensor value = (lost(said, GetParam(), weight, bias) * taken).sum() / n +
                               (bias.square().sum() + weight.square().sum() * penalty) / (2 * n);
      value.backward();
      EXPECT_NEAR(found.value[f].item<double>(), value.item<double>(), 1e-5);
      EXPECT_LT((found.gradient[f] - own.grad()).abs().max().item<double>(), 1e-5);
    }
  }
}

TEST_P(ShareLossTest, SomeOfTheFitsAreEvaluatedAsAmongAll) {
  const Opinions said = opinions();
  const ShareObjective objective(said, GetParam(), kPenalty, takes());
  const at::Tensor x = at::randn({kFits, objective.numbers()}, at::kDouble);
  const BatchedLbfgs::Evaluation all = objective.evaluate(x, at::arange(kFits)),
                                 second = objective.evaluate(x.narrow(0, 1, 1), at::full({1}, 1));
  EXPECT_NEAR(second.value[0].item<double>(), all.value[1].item<double>(), 1e-6);
  EXPECT_LT((second.gradient[0] - all.gradient[1]).abs().max().item<double>(), 1e-6);
}

TEST_P(ShareLossTest, ThePoolIsThatOfTheDefinition) {
  const Opinions said = opinions();
  const ShareLoss loss(said, GetParam());
  const at::Tensor weight = at::randn({1, kExperts, kInputs}), bias = at::randn({1, kExperts});
  at::Tensor pooled = loss.pooled(loss.scores(weight, bias)).squeeze(0);
  if (GetParam() == OpinionPool::kLogarithmic) pooled = at::log_softmax(pooled, 0);
  const at::Tensor own = pooled.gather(0, said.label.unsqueeze(0)).squeeze(0);
  const at::Tensor expected =
      lost(said, GetParam(), weight[0].to(at::kDouble), bias[0].to(at::kDouble));
  EXPECT_LT((own + expected).abs().max().item<double>(), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Pools, ShareLossTest,
                         ::testing::Values(OpinionPool::kLinear, OpinionPool::kLogarithmic));

}  // namespace
}  // namespace moecollab::training
