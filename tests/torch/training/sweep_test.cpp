#include "training/sweep.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

const std::vector<SweepPoint> kPoints = {{0, 0}, {0.01, 0}, {0, 0.1}, {0.05, 0.5}, {2, 0}};

std::map<std::pair<double, double>, SweepResult> sweep(const GateProblem& problem,
                                                       const GateTrainingOptions& options,
                                                       int threads, StopToken stop = {}) {
  std::map<std::pair<double, double>, SweepResult> results;
  RunContext context;
  context.stop = stop;
  run_sweep(problem, options, kPoints, threads, context, [&](const SweepResult& result) {
    results[{result.point.lambda1, result.point.lambda2}] = result;
  });
  return results;
}

TEST(Sweep, IsTheSameWhateverTheNumberOfThreads) {
  const GateToy toy;
  const GateProblem problem = toy.problem();
  const auto one = sweep(problem, GateToy::options(), 1);
  const auto three = sweep(problem, GateToy::options(), 3);
  ASSERT_EQ(one.size(), kPoints.size());
  for (const auto& [key, result] : one) {
    const GateJudgement &a = *result.judged, &b = *three.at(key).judged;
    EXPECT_EQ(a.total, b.total);
    EXPECT_EQ(a.accuracy, b.accuracy);
    EXPECT_EQ(a.load, b.load);
    EXPECT_EQ(result.epochs, three.at(key).epochs);
  }
}

TEST(Sweep, APointIsTheFitWithItsLambdas) {
  const GateToy toy;
  const GateProblem problem = toy.problem();
  GateTrainingOptions options = GateToy::options();
  const auto results = sweep(problem, options, 2);
  options.objective.lambda1 = 0.05;
  options.objective.lambda2 = 0.5;
  EXPECT_NEAR(choose_gate(problem, options, StopToken()).judged.total,
              results.at({0.05, 0.5}).judged->total, 1e-6);
  EXPECT_LT(results.at({2, 0}).judged->entropy, results.at({0, 0}).judged->entropy)
      << "the literal sign sharpens the gate";
}

TEST(Sweep, APointThatDivergesIsAResult) {
  const GateToy toy;
  GateTrainingOptions options = GateToy::options();
  options.lr = 1e38;
  for (const auto& [key, result] : sweep(toy.problem(), options, 2)) {
    EXPECT_FALSE(result.judged);
    EXPECT_NE(result.failure.find("finite"), std::string::npos) << result.failure;
  }
}

TEST(Sweep, AStopEndsIt) {
  const GateToy toy;
  const std::atomic<bool> stop = true;
  try {
    sweep(toy.problem(), GateToy::options(), 2, StopToken(stop));
    ADD_FAILURE() << "continued";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_INTERRUPTED");
  }
}

}  // namespace
}  // namespace moecollab::training
