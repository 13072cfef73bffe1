#include "training/gate_problem.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

at::Tensor some_rows() { return at::arange(0, 400, 7); }

// Router logits with every kind of confidence.
at::Tensor some_router_logits() {
  return at::sin(at::arange(58 * 3, at::kFloat).mul(1.3)).view({58, 3}) * 4;
}

TEST(GateProblem, StoredProbabilitiesGiveWhatFusionGives) {
  GateToy toy;
  toy.experts[1] = {0, {1}, 2.5};  // partial: knows y alone, and is cooled down
  toy.data.held_out.logits[1] = at::zeros({400, 1});
  for (const int64_t top_k : {0, 1, 2}) {  // the loss is that of all experts
    const GateProblem problem = toy.problem(fusion::Mode::kMixture, top_k);
    EXPECT_TRUE(
        problem.task_loss(some_router_logits(), some_rows())
            .equal(
                toy.problem(fusion::Mode::kMixture).task_loss(some_router_logits(), some_rows())));
    at::Tensor fast = some_router_logits().requires_grad_(true);
    at::Tensor general = some_router_logits().requires_grad_(true);
    const at::Tensor a = problem.task_loss(fast, some_rows());
    const at::Tensor b = problem.task_loss_by_fusion(general, some_rows());
    EXPECT_NEAR(a.item<double>(), b.item<double>(), 1e-6) << top_k;
    a.backward();
    b.backward();
    EXPECT_TRUE(fast.grad().allclose(general.grad(), 1e-6, 1e-6)) << top_k;
    EXPECT_GT(fast.grad().abs().max().item<double>(), 1e-4);
  }
}

// Row 1 has its label in b/1, whose expert gives softmax(3, 0) = e³ / (e³ + 1) for it.
TEST(GateProblem, TaskLossIsTheMixturesByHand) {
  const GateToy toy;
  const GateProblem problem = toy.problem();
  int64_t row = 0;
  while (toy.data.held_out.targets[row].item<int64_t>() < 2) ++row;
  const at::Tensor router = at::tensor({0.2F, 0.3F, 0.5F}).log().view({1, 3});
  EXPECT_NEAR(problem.task_loss(router, at::tensor({row}, at::kLong)).item<double>(),
              -std::log(0.5 * std::exp(3.0) / (std::exp(3.0) + 1)), 1e-6);
}

// −log(.2 + .3) for a text of a/1, −log .5 for one of b/1.
TEST(GateProblem, RoutingLossIsTheMassOnTheOwnSpace) {
  GateToy toy;
  toy.data.others.z = at::ones({2, 3});
  toy.data.others.spaces = at::tensor({0, 1}, at::kLong);
  const GateProblem problem = toy.problem();
  const at::Tensor router = at::tensor({0.2F, 0.3F, 0.5F}).log().expand({2, 3});
  EXPECT_NEAR(problem.routing_loss(router, at::arange(2)).item<double>(), -std::log(0.5), 1e-6);
  EXPECT_EQ(toy.problem(fusion::Mode::kMasked).routing_texts(), 0)
      << "fusions that know the domain learn nothing from routing";
}

// Shares that are settled make each text's pooled probability one number of the space.
TEST(GateProblem, InTwoFactorsStoredProbabilitiesGiveWhatFusionGives) {
  GateToy toy(100);
  for (at::Tensor& logits : toy.data.held_out.logits) logits = logits * 0.4;
  toy.data.held_out.logits[0][3] = at::tensor({0.0F, 50.0F});  // beyond the floor
  // Two independent witnesses: their product says more than their mean.
  toy.data.held_out.logits[1] = toy.data.held_out.logits[0].roll(2, 0);
  GateProblem problem = toy.problem();
  problem.share_spaces(1, false, {});
  const gate::Gate& gate = problem.start();
  EXPECT_TRUE(gate.is_factored());
  EXPECT_EQ(gate.spaces, (std::vector<int64_t>{0, 0, 1}));
  const at::Tensor rows = at::arange(problem.texts()), router = gate.forward(problem.z());
  EXPECT_NEAR(problem.task_loss(router, rows).item<double>(),
              problem.task_loss_by_fusion(router, rows).item<double>(), 1e-5);
  const at::Tensor mass = router.exp().narrow(1, 0, 2).sum(1);
  EXPECT_TRUE(mass.allclose(at::full_like(mass, 0.5F))) << "a fit sets out from equal spaces";
}

// registry.toml may name label spaces in another order than experts come to them.
TEST(GateProblem, SpacesAreNumberedAsTheExpertsComeToThem) {
  GateToy toy(100);
  std::swap(toy.experts[0], toy.experts[2]);
  std::swap(toy.data.held_out.logits[0], toy.data.held_out.logits[2]);
  GateProblem problem = toy.problem();
  problem.share_spaces(1, false, {});
  EXPECT_EQ(problem.start().spaces, (std::vector<int64_t>{0, 1, 1}));
  EXPECT_EQ(problem.start().bias[0].item<float>(), 0) << "alone in b/1";
}

TEST(GateProblem, AnswersThatAreNotFiniteCountAsKnowingNothing) {
  GateToy toy;
  toy.data.held_out.logits[0][3][1] = std::numeric_limits<float>::quiet_NaN();
  const GateProblem problem = toy.problem();
  const at::Tensor row = at::tensor({3}, at::kLong);
  const at::Tensor only_first = at::tensor({50.0F, 0.0F, 0.0F}).view({1, 3});
  const bool own = toy.data.held_out.targets[3].item<int64_t>() < 2;
  EXPECT_NEAR(problem.task_loss(only_first, row).item<double>(),
              own ? std::log(2.0) : -std::log(1e-12), 1e-3);
}

TEST(GateProblem, RefusesAnImpossibleTopK) {
  EXPECT_THROW(GateToy().problem(fusion::Mode::kMixture, 4), Error);
}

TEST(GateJudge, CountsAccuracyAndUseByHand) {
  const GateToy toy;
  const GateProblem problem = toy.problem();
  // A gate of zeros: every expert counts a third, so in b the two lost experts of a never win: each
  // of them gives at most .953/3 to a label of a. Where both of a disagree their sum is 1/3 each.
  const at::Tensor prior = at::full({3}, 1.0 / 3);
  const std::vector<int64_t> rows = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  const GateJudgement judged = judge(problem, problem.start(), {}, prior, rows);
  EXPECT_NEAR(judged.entropy, std::log(3.0), 1e-6);
  EXPECT_NEAR(judged.balance, 0.0, 1e-6);
  EXPECT_NEAR(judged.n_eff_experts, 3.0, 1e-6);
  // Mass (2/3, 1/3) over the spaces: exp(H).
  EXPECT_NEAR(judged.n_eff, std::exp(-(2.0 / 3 * std::log(2.0 / 3) + std::log(1.0 / 3) / 3)), 1e-6);
  double in_b = 0;
  for (const int64_t row : rows) in_b += toy.data.held_out.domain_of[static_cast<size_t>(row)];
  const double p = in_b / 10;
  EXPECT_NEAR(judged.n_eff_target, std::exp(-(p * std::log(p) + (1 - p) * std::log(1 - p))), 1e-6);
  ASSERT_EQ(judged.domain_accuracy.size(), 2U);
  EXPECT_EQ(judged.domain_accuracy_task_aware[1], 1.0) << "the expert of b is always right";
  EXPECT_NEAR(judged.load[2], (1.0 / 3) / p, 1e-6);
}

// Under top-1 the answer uses one expert, the λ terms the dense softmax.
TEST(GateJudge, TermsAreOfTheDenseSoftmaxUnderTopK) {
  const GateToy toy;
  const at::Tensor prior = at::full({3}, 1.0 / 3);
  const std::vector<int64_t> rows = {0, 1, 2, 3};
  const GateProblem problem = toy.problem(fusion::Mode::kMixture, 1);
  const GateJudgement judged = judge(problem, problem.start(), {}, prior, rows);
  EXPECT_NEAR(judged.entropy, std::log(3.0), 1e-6);
  EXPECT_NEAR(judged.n_eff_experts, 1.0, 1e-6);
}

TEST(GateJudge, FusionsThatKnowTheDomainHaveNoTaskAgnosticAccuracy) {
  const GateToy toy;
  const at::Tensor prior = at::full({3}, 1.0 / 3);
  const std::vector<int64_t> rows = {0, 1, 2, 3, 4, 5};
  for (const fusion::Mode mode : {fusion::Mode::kPaper, fusion::Mode::kMasked}) {
    const GateProblem problem = toy.problem(mode);
    const GateJudgement judged = judge(problem, problem.start(), {}, prior, rows);
    EXPECT_TRUE(std::isnan(judged.accuracy));
    EXPECT_FALSE(std::isnan(judged.accuracy_task_aware));
  }
}

}  // namespace
}  // namespace moecollab::training
