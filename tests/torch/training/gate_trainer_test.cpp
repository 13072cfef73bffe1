#include "training/gate_trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

double accuracy(const GateProblem& problem, const gate::Gate& gate) {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < problem.texts(); ++row) rows.push_back(row);
  return judge(problem, gate, {}, at::full({3}, 1.0 / 3), rows).accuracy;
}

// Each expert of a/1 alone is right on half of a; the gate can tell the halves apart.
TEST(GateTrainer, GainsFromSeveralExpertsOfOneDomain) {
  const GateToy toy;
  const GateProblem problem = toy.problem();
  const GateFit fit = fit_gate(problem, GateToy::options(), {});
  EXPECT_GT(accuracy(problem, fit.gate), 0.95);
  // The best that one expert per domain can do: all of b and half of a.
  gate::Gate one = fit.gate;
  one.bias = one.bias.clone();
  one.bias[0] = -1e9F;
  EXPECT_LT(accuracy(problem, one), 0.85);
}

TEST(GateTrainer, TwoFactorsFindWhichExpertOfADomainIsRight) {
  const GateToy toy;
  GateProblem problem = toy.problem();
  problem.share_spaces(9, false, {});
  GateTrainingOptions options = GateToy::options();
  options.gate = GateKind::kFactored;
  const GateFit fit = fit_gate(problem, options, {});
  EXPECT_GT(accuracy(problem, fit.gate), 0.95);
  EXPECT_TRUE(fit.gate.weight.equal(problem.start().weight)) << "settled before";
  EXPECT_TRUE(fit_gate(problem, options, {}).gate.space_weight.equal(fit.gate.space_weight));
}

TEST(GateTrainer, EqualSeedsGiveEqualBits) {
  const GateToy toy;
  const GateProblem problem = toy.problem();
  const auto fit = [&](GateOptimizer optimizer, GateKind kind) {
    GateTrainingOptions options = GateToy::options();
    options.optimizer = optimizer;
    options.gate = kind;
    options.hidden = 8;
    return fit_gate(problem, options, {}).gate;
  };
  for (const GateOptimizer optimizer : {GateOptimizer::kAdamW, GateOptimizer::kLbfgs}) {
    for (const GateKind kind : {GateKind::kLinear, GateKind::kMlp}) {
      EXPECT_TRUE(fit(optimizer, kind).weight.equal(fit(optimizer, kind).weight))
          << name(optimizer) << " " << name(kind);
    }
  }
}

TEST(GateTrainer, LbfgsReachesAtLeastTheLossOfAdamW) {
  const GateToy toy;
  const GateProblem problem = toy.problem();
  GateTrainingOptions options = GateToy::options();
  const double adamw = fit_gate(problem, options, {}).validation_task.value();
  options.optimizer = GateOptimizer::kLbfgs;
  options.weight_decay = 0;
  const GateFit fit = fit_gate(problem, options, {});
  EXPECT_LE(fit.validation_task.value(), adamw + 0.01);
  EXPECT_GT(accuracy(problem, fit.gate), 0.95);
}

// Which expert of a/1 is right depends on the product of two features: no linear gate sees it.
TEST(GateTrainer, AHiddenLayerLearnsWhatALinearGateCannot) {
  GateToy toy(800);
  const at::Tensor early =
      (toy.data.held_out.z.select(1, 1) * toy.data.held_out.z.select(1, 2)).lt(0).unsqueeze(1);
  const at::Tensor a = toy.data.held_out.logits[0], b = toy.data.held_out.logits[1];
  const at::Tensor right = at::where(toy.data.held_out.z.select(1, 1).gt(0).unsqueeze(1), b, a);
  toy.data.held_out.logits[0] = at::where(early, right, right.flip(1));
  toy.data.held_out.logits[1] = at::where(early, right.flip(1), right);
  const GateProblem problem = toy.problem();
  GateTrainingOptions options = GateToy::options();
  options.epochs = 200;
  options.patience = 40;
  const double linear = accuracy(problem, fit_gate(problem, options, {}).gate);
  options.gate = GateKind::kMlp;
  const double mlp = accuracy(problem, fit_gate(problem, options, {}).gate);
  EXPECT_LT(linear, 0.85);
  EXPECT_GT(mlp, linear + 0.08);
}

// How many experts answer is no part of the fit: through one, the task's loss has no slope.
TEST(GateTrainer, TopKDoesNotChangeTheFit) {
  const GateToy toy;
  GateTrainingOptions options;
  options.epochs = 3;
  const GateFit dense = fit_gate(toy.problem(fusion::Mode::kMixture, 0), options, {});
  options.top_k = 1;
  const GateFit one = fit_gate(toy.problem(fusion::Mode::kMixture, 1), options, {});
  EXPECT_GT(dense.gate.weight.abs().max().item<double>(), 0);
  EXPECT_TRUE(one.gate.weight.equal(dense.gate.weight));
  EXPECT_EQ(one.task, dense.task);
}

TEST(GateTrainer, EveryFusionAndTopKCanBeFitted) {
  const GateToy toy(100);
  for (const fusion::Mode mode : {fusion::Mode::kPaper, fusion::Mode::kMasked,
                                  fusion::Mode::kMixture, fusion::Mode::kLogitUnion}) {
    for (const int64_t top_k : {0, 2}) {
      GateTrainingOptions options = GateToy::options();
      options.fusion = mode;
      options.top_k = top_k;
      options.epochs = 10;
      const GateFit fit = fit_gate(toy.problem(mode, top_k), options, {});
      EXPECT_TRUE(std::isfinite(fit.task)) << fusion::name(mode) << top_k;
      EXPECT_LT(fit.history[9].terms.task, fit.history[0].terms.task)
          << fusion::name(mode) << top_k;
    }
  }
}

TEST(GateTrainer, HistoryTellsEveryEpoch) {
  const GateToy toy;
  GateTrainingOptions options = GateToy::options();
  options.epochs = 4;
  options.objective.lambda2 = 0.1;
  options.objective.z_loss = 0.01;
  const GateFit fit = fit_gate(toy.problem(), options, {});
  ASSERT_EQ(fit.history.size(), 4U + static_cast<size_t>(fit.epochs));
  const GateEpoch& first = fit.history.front();
  EXPECT_FALSE(first.refit);
  EXPECT_EQ(first.epoch, 1);
  EXPECT_EQ(first.texts, 320);
  ASSERT_TRUE(first.judged);
  EXPECT_EQ(first.judged->domain_accuracy.size(), 2U);
  EXPECT_EQ(first.judged->load.size(), 3U);
  EXPECT_TRUE(first.terms.further.contains("z-loss"));
  EXPECT_NEAR(
      first.terms.total,
      first.terms.task + 0.1 * first.terms.balance + 0.01 * first.terms.further.at("z-loss"), 1e-5);
  EXPECT_GE(first.seconds, 0.0);
  EXPECT_GT(first.peak_rss_bytes, 1 << 20);
  EXPECT_TRUE(fit.history.back().refit);
  EXPECT_EQ(fit.history.back().texts, 400);
}

// λ2 large: ḡ follows the prior, whatever the task says.
TEST(GateTrainer, APriorDrawsTheSharesToIt) {
  const GateToy toy;
  GateTrainingOptions options = GateToy::options();
  options.objective.lambda2 = 100;
  options.prior = {0.6, 0.3, 0.1};
  options.batch = 400;
  options.epochs = 200;
  const GateFit fit = fit_gate(toy.problem(), options, {});
  const at::Tensor mean =
      gate::routing_weights(fit.gate.router_logits(toy.data.held_out.z), 0).mean(0);
  EXPECT_NEAR(mean[0].item<double>(), 0.6, 0.05);
  EXPECT_NEAR(mean[2].item<double>(), 0.1, 0.05);
}

std::string code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "none";
}

// One text outside the hold-out has no finite features: the steps that meet it are skipped.
TEST(GateTrainer, StepsThatAreNotFiniteAreSkippedAndCounted) {
  GateToy toy;
  toy.data.others.z = at::ones({400, 3});
  toy.data.others.z[7][0] = std::numeric_limits<float>::quiet_NaN();
  toy.data.others.spaces = at::ones({400}, at::kLong);
  GateTrainingOptions options = GateToy::options();
  options.epochs = 5;
  const GateFit fit = fit_gate(toy.problem(), options, {});
  EXPECT_GT(fit.skipped_steps, 0);
  EXPECT_LE(fit.skipped_steps, 10) << "at most one per epoch";
  EXPECT_TRUE(fit.gate.weight.isfinite().all().item<bool>());
}

TEST(GateTrainer, TenSuchStepsInARowStopTheFit) {
  GateToy toy;
  GateTrainingOptions options = GateToy::options();
  options.lr = 1e38;  // the first step throws the weights out of float's range
  EXPECT_EQ(code_of([&] { fit_gate(toy.problem(), options, {}); }), "E_TRAIN_DIVERGED");
  options.lr = 3e-2;
  toy.data.others.z = at::full({400, 3}, std::numeric_limits<float>::quiet_NaN());
  toy.data.others.spaces = at::ones({400}, at::kLong);
  EXPECT_EQ(code_of([&] { fit_gate(toy.problem(), options, {}); }), "E_TRAIN_DIVERGED");
  options.optimizer = GateOptimizer::kLbfgs;
  EXPECT_EQ(code_of([&] { fit_gate(toy.problem(), options, {}); }), "E_TRAIN_DIVERGED");
}

TEST(GateTrainer, AStopIsHeard) {
  const GateToy toy(50);
  const std::atomic<bool> stop = true;
  const RunContext context{Log(), StopToken(stop)};
  EXPECT_EQ(code_of([&] { fit_gate(toy.problem(), GateToy::options(), context); }),
            "E_INTERRUPTED");
}

TEST(GateTrainer, RefusesOptionsOutsideTheirRange) {
  const auto code = [](const std::function<void(GateTrainingOptions&)>& spoil) {
    GateTrainingOptions options;
    spoil(options);
    return code_of([&] { validate(options); });
  };
  EXPECT_EQ(code([](auto&) {}), "none");
  EXPECT_EQ(code([](auto& o) { o.hidden = 0; }), "E_CONFIG");
  EXPECT_EQ(code([](auto& o) { o.objective.lambda1 = 1e30; }), "E_CONFIG");
  EXPECT_EQ(code([](auto& o) {
              o.optimizer = GateOptimizer::kLbfgs;
              o.objective.balance_window = 5;
            }),
            "E_CONFIG");
  EXPECT_EQ(code_of([] { parse_gate_optimizer("sgd"); }), "E_CONFIG");
  EXPECT_EQ(code_of([] { parse_gate_kind("deep"); }), "E_CONFIG");
}

// Where texts are few for their features, what the fit sets out from knows the spaces already, and
// epochs count only if they better it.
TEST(GateTrainer, WithFewTextsSetsOutFromDiscriminants) {
  GateToy toy(60);
  const at::Tensor noise =
      at::sin(at::arange(60 * 37, at::kFloat).mul(1.3).square()).view({60, 37});
  toy.data.held_out.z = at::cat({toy.data.held_out.z, noise}, 1);
  toy.data.others.z = at::zeros({0, 40});
  GateProblem problem = toy.problem();
  problem.share_spaces(9, true, {});
  ASSERT_TRUE(problem.space_rows());
  GateTrainingOptions options = GateToy::options();
  options.gate = GateKind::kFactored;
  options.lr = 1e-12;  // no epoch betters anything
  const GateFit fit = fit_gate(problem, options, {});
  EXPECT_EQ(fit.epochs, 0);
  EXPECT_TRUE(fit.gate.space_weight.equal(problem.space_rows()->weight));
  EXPECT_LT(fit.task, 0.6);
  EXPECT_NEAR(fit.total, fit.task, 1e-9) << "no further term is on";
  options.objective.lambda1 = 5;  // doubt is worth more than any text
  options.objective.entropy_sign = gate::EntropySign::kExplore;
  options.lr = 3e-2;
  EXPECT_GT(fit_gate(problem, options, {}).epochs, 0);
}

}  // namespace
}  // namespace moecollab::training
