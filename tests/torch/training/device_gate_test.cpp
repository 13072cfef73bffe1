// Fits of the gate on another device than the CPU.
#include <gtest/gtest.h>

#include "torch/test_device.h"
#include "torch/training/gate_toy.h"
#include "training/gate_cross_fit.h"
#include "training/gate_guard.h"
#include "training/gate_warm_up.h"
#include "training/sweep.h"
#include "training/top_k_choice.h"

namespace moecollab::training {
namespace {

using moecollab::testing::device_counts;
using moecollab::testing::reset_device_counts;
using moecollab::testing::use_test_device;

// Half of the toy's texts are outside the hold-out.
GateToy toy_with_others() {
  GateToy toy(200);
  toy.data.others.z = toy.data.held_out.z.roll(7, 0);
  toy.data.others.spaces = toy.data.others.z.select(1, 0).gt(0).to(at::kLong);
  return toy;
}

GateProblem problem_on(at::Device device, fusion::Mode mode, int64_t top_k) {
  const GateToy toy = toy_with_others();
  return {toy.data, toy.experts, toy.labels, {{2, encoder::Pooling::kMean}},
          mode,     top_k,       Log(),      device};
}

void expect_near(const at::Tensor& found, const at::Tensor& expected, const std::string& what) {
  ASSERT_TRUE(found.is_cpu()) << what;
  EXPECT_LT((found - expected).abs().max().item<double>(), 1e-4) << what;
}

GateTrainingOptions few_epochs(GateOptimizer optimizer, GateKind kind) {
  GateTrainingOptions options = GateToy::options();
  options.optimizer = optimizer;
  options.gate = kind;
  options.epochs = 4;
  options.hidden = 5;
  options.objective.lambda1 = 0.01;
  options.objective.lambda2 = 0.1;
  options.objective.importance_cv2 = 0.01;
  return options;
}

TEST(DeviceGate, FitsAsOnTheCpu) {
  const at::Device device = use_test_device();
  using fusion::Mode;
  for (const Mode mode : {Mode::kMixture, Mode::kLogitUnion, Mode::kMasked, Mode::kPaper}) {
    for (const int64_t top_k : {0, 2}) {
      for (const GateOptimizer optimizer : {GateOptimizer::kAdamW, GateOptimizer::kLbfgs}) {
        for (const GateKind kind : {GateKind::kLinear, GateKind::kMlp, GateKind::kFactored}) {
          if (kind == GateKind::kFactored && mode != Mode::kMixture) continue;
          if (optimizer == GateOptimizer::kAdamW && top_k > 0) continue;  // nothing new in it
          GateProblem on_cpu = problem_on(encoder::kHost, mode, top_k),
                      on_device = problem_on(device, mode, top_k);
          if (kind == GateKind::kFactored) {
            on_cpu.share_spaces(1, true, {});
            on_device.share_spaces(1, true, {});
            EXPECT_EQ(on_cpu.share_guards(), on_device.share_guards());
          }
          const GateTrainingOptions options = few_epochs(optimizer, kind);
          const GateFit expected = fit_gate(on_cpu, options, {}),
                        found = fit_gate(on_device, options, {});
          const std::string what = std::string(fusion::name(mode)) + " " +
                                   std::string(name(optimizer)) + " " + std::string(name(kind)) +
                                   " top-k " + std::to_string(top_k);
          EXPECT_EQ(found.epochs, expected.epochs) << what;
          EXPECT_NEAR(found.total, expected.total, 1e-5) << what;
          expect_near(found.gate.weight, expected.gate.weight, what);
          expect_near(found.gate.bias, expected.gate.bias, what);
          if (kind == GateKind::kFactored)
            expect_near(found.gate.space_weight, expected.gate.space_weight, what);
          ASSERT_EQ(found.history.size(), expected.history.size()) << what;
          EXPECT_NEAR(found.history[0].judged->accuracy_task_aware,
                      expected.history[0].judged->accuracy_task_aware, 1e-12)
              << what;
        }
      }
    }
  }
}

TEST(DeviceGate, DataStaysOnTheDevice) {
  const GateProblem problem = problem_on(use_test_device(), fusion::Mode::kMixture, /*top_k=*/0);
  std::vector<int64_t> rows(static_cast<size_t>(problem.texts()));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  for (const GateOptimizer optimizer : {GateOptimizer::kAdamW, GateOptimizer::kLbfgs}) {
    GateFitting fitting(problem, few_epochs(optimizer, GateKind::kLinear), rows, {});
    fitting.epoch();
    reset_device_counts();
    fitting.epoch();
    // The order of its texts and of as many others; the parameters of some evaluations.
    const int64_t order = 2 * problem.texts() * static_cast<int64_t>(sizeof(int64_t)),
                  parameters = 12 * static_cast<int64_t>(sizeof(float));
    const int64_t sent = optimizer == GateOptimizer::kAdamW ? order : 10 * parameters;
    EXPECT_LE(device_counts().bytes_to_device, sent) << name(optimizer);
    EXPECT_LE(device_counts().bytes_to_host, 20 * parameters) << name(optimizer);
  }
}

const std::vector<SweepPoint> kPoints = {{0, 0}, {0.01, 0.1}, {0.1, 0}, {0.05, 0.02}};

std::vector<SweepResult> sweep(const GateProblem& problem, const GateTrainingOptions& options,
                               const RunContext& context = {}) {
  std::vector<SweepResult> results(kPoints.size());
  run_sweep(problem, options, kPoints, 2, context, [&](const SweepResult& result) {
    for (size_t p = 0; p < kPoints.size(); ++p) {
      const bool same =
          kPoints[p].lambda1 == result.point.lambda1 && kPoints[p].lambda2 == result.point.lambda2;
      if (same) results[p] = result;
    }
  });
  return results;
}

// On the device all points are fitted together, on the CPU each alone.
TEST(DeviceGate, SweepsAsOnTheCpu) {
  const at::Device device = use_test_device();
  using fusion::Mode;
  for (const Mode mode : {Mode::kMixture, Mode::kLogitUnion, Mode::kPaper}) {
    for (const GateKind kind : {GateKind::kLinear, GateKind::kMlp, GateKind::kFactored}) {
      if (kind == GateKind::kFactored && mode != Mode::kMixture) continue;
      GateTrainingOptions options = few_epochs(GateOptimizer::kLbfgs, kind);
      options.epochs = 8;
      options.objective.switch_load = 0.01;
      GateProblem on_cpu = problem_on(encoder::kHost, mode, /*top_k=*/0),
                  on_device = problem_on(device, mode, /*top_k=*/0);
      if (kind == GateKind::kFactored) {
        on_cpu.share_spaces(1, true, {});
        on_device.share_spaces(1, true, {});
      }
      const std::vector<SweepResult> expected = sweep(on_cpu, options),
                                     found = sweep(on_device, options);
      for (size_t p = 0; p < kPoints.size(); ++p) {
        const std::string what = std::string(fusion::name(mode)) + " " + std::string(name(kind)) +
                                 " point " + std::to_string(p);
        ASSERT_TRUE(found[p].judged && expected[p].judged) << what;
        EXPECT_EQ(found[p].epochs, expected[p].epochs) << what;
        EXPECT_NEAR(found[p].judged->total, expected[p].judged->total, 1e-4) << what;
        EXPECT_NEAR(found[p].judged->accuracy_task_aware, expected[p].judged->accuracy_task_aware,
                    1e-12)
            << what;
        EXPECT_EQ(found[p].judged->domain_accuracy.size(),
                  expected[p].judged->domain_accuracy.size());
      }
    }
  }
}

// A fit whose loss is not finite on the training texts.
TEST(DeviceGate, APointThatDivergesIsAResultBesideOthers) {
  GateTrainingOptions options = few_epochs(GateOptimizer::kLbfgs, GateKind::kLinear);
  options.prior = {0, 0.5, 0.5};  // KL to it is infinite
  const std::vector<SweepResult> found =
      sweep(problem_on(use_test_device(), fusion::Mode::kMixture, /*top_k=*/0), options);
  for (size_t p = 0; p < kPoints.size(); ++p)
    EXPECT_FALSE(found[p].judged) << "λ2 = " << kPoints[p].lambda2;
  EXPECT_NE(found[0].failure.find("finite"), std::string::npos) << found[0].failure;
}

TEST(DeviceGate, AWarmUpFitsThereAndNothingOnTheCpu) {
  const at::Device device = use_test_device();
  reset_device_counts();
  { const GateWarmUp nothing(encoder::kHost, 8); }
  EXPECT_EQ(device_counts().all_calls(), 0);
  { const GateWarmUp warm_up(device, 8); }
  EXPECT_GT(device_counts().calls["aten::bmm"], 0) << "shares by folds";
  EXPECT_GT(device_counts().calls["aten::_log_softmax_backward_data"], 0) << "a fit";
}

TEST(DeviceGate, ChoosesTopKAsOnTheCpu) {
  const at::Device device = use_test_device();
  const GateTrainingOptions options = few_epochs(GateOptimizer::kLbfgs, GateKind::kLinear);
  TopKChoice choices[2];
  for (const bool on_device : {false, true}) {
    const GateProblem problem = problem_on(on_device ? device : at::Device(encoder::kHost),
                                           fusion::Mode::kMixture, /*top_k=*/0);
    const at::Tensor router = cross_fitted_router_logits(problem, options, 3, {});
    choices[on_device] = choose_top_k(problem, router, at::tensor({1.0F, 0.6F, 1.0F}));
  }
  EXPECT_EQ(choices[1].top_k, choices[0].top_k);
  EXPECT_EQ(choices[1].accuracy, choices[0].accuracy);
}

// Negated, the router prefers whoever is wrong, so that one expert alone is better.
TEST(DeviceGate, GuardsAsOnTheCpu) {
  const at::Device device = use_test_device();
  const GateTrainingOptions options = few_epochs(GateOptimizer::kLbfgs, GateKind::kLinear);
  std::vector<ShareGuard> guards[2];
  at::Tensor biases[2];
  for (const bool on_device : {false, true}) {
    const GateProblem problem = problem_on(on_device ? device : at::Device(encoder::kHost),
                                           fusion::Mode::kMixture, /*top_k=*/0);
    at::Tensor router = cross_fitted_router_logits(problem, options, 3, {}).neg();
    gate::Gate gate = gate::moved(problem.start(), encoder::kHost);
    guards[on_device] =
        guard_gate(problem, guarded_spaces(problem), {"x", "y", "z"}, Log(), router, gate);
    biases[on_device] = gate.bias;
  }
  ASSERT_EQ(guards[0].size(), 1U);
  EXPECT_EQ(guards[1], guards[0]);
  expect_near(biases[1], biases[0], "bias");
}

// A gate in two factors unless somebody chose another or other options rule it out, which is said.
TEST(GateTrainingOptions, TheUsualGateIsInTwoFactors) {
  const auto settled = [](GateTrainingOptions options, size_t notes) {
    CollectingLog said{Log()};
    settle_for(Device{}, options, said.log());
    EXPECT_EQ(said.texts().size(), notes);
    validate(options);
    return options.gate;
  };
  GateTrainingOptions usual, chosen, paper, small;
  EXPECT_EQ(settled(usual, 0), GateKind::kFactored);
  chosen.usual_gate = false;
  EXPECT_EQ(settled(chosen, 0), GateKind::kLinear);
  paper.fusion = fusion::Mode::kPaper;
  EXPECT_EQ(settled(paper, 1), GateKind::kLinear);
  small.objective.z_loss = 0.1;
  EXPECT_EQ(settled(small, 1), GateKind::kLinear);
}

TEST(DeviceGate, AGpuTakesAllTextsAtOnceUnlessAnOptimizerIsChosen) {
  CollectingLog said{Log()};
  GateTrainingOptions options;
  settle_for(Device{}, options, Log());
  EXPECT_EQ(options.optimizer, GateOptimizer::kAdamW);
  settle_for(Device{DeviceType::kCuda, 0}, options, said.log());
  EXPECT_EQ(options.optimizer, GateOptimizer::kLbfgs);
  GateTrainingOptions chosen;
  chosen.usual_optimizer = false;
  settle_for(Device{DeviceType::kCuda, 0}, chosen, said.log());
  EXPECT_EQ(chosen.optimizer, GateOptimizer::kAdamW);
  GateTrainingOptions looks_back;
  looks_back.objective.balance_window = 8;
  settle_for(Device{DeviceType::kCuda, 0}, looks_back, said.log());
  EXPECT_EQ(looks_back.optimizer, GateOptimizer::kAdamW) << "L-BFGS has no batches to look back on";
  EXPECT_EQ(said.texts().size(), 1U) << "it is said once, when it happens";
}

}  // namespace
}  // namespace moecollab::training
