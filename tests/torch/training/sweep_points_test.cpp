#include "training/sweep_points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

using Lambdas = std::vector<std::pair<double, double>>;

Lambdas grid(const std::vector<double>& lambdas1, const std::vector<double>& lambdas2) {
  Lambdas points;
  for (const SweepPoint& point : sweep_grid(lambdas1, lambdas2))
    points.emplace_back(point.lambda1, point.lambda2);
  return points;
}

GateInputs toy_inputs() {
  GateToy toy(60);
  GateInputs inputs;
  inputs.options = GateToy::options();
  inputs.features = {{2, encoder::Pooling::kMean}};
  inputs.data = toy.data;
  inputs.experts = {"early", "late", "b"};
  inputs.labels = toy.experts;
  inputs.all_labels = toy.labels;
  return inputs;
}

TEST(SweepPoints, AreEveryPairOnceAndTheReference) {
  EXPECT_EQ(grid({0.5, 0, 0.5}, {0.25, 0}), (Lambdas{{0, 0}, {0, 0.25}, {0.5, 0}, {0.5, 0.25}}));
  EXPECT_EQ(grid({0.5}, {0.25}), (Lambdas{{0, 0}, {0.5, 0.25}}));
  EXPECT_EQ(grid({}, {}).size(), 144U);
  EXPECT_THROW(grid({-1}, {0}), Error);
  EXPECT_THROW(grid({std::nan("")}, {0}), Error);
  EXPECT_THROW(grid(std::vector<double>(1, 1e30), {0}), Error);
}

TEST(SweepPoints, FinishedOnesAreNotFittedAgain) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "points.jsonl";
  const GateInputs inputs = toy_inputs();
  const std::vector<SweepPoint> points = sweep_grid({0}, {0, 0.5});
  {
    FinishedPoints finished(file, "one", Log());
    finish_points(inputs, points, Compute{.threads = 1}, {}, &finished);
    EXPECT_EQ(finished.at(points[1])["lambda2"], 0.5);
    EXPECT_THAT(finished.at(points[1])["held_out"]["load"].size(), 3U);
    EXPECT_FALSE(finished.at(points[1]).contains("digest"));
  }
  const std::string written = read_file(file, "E_TEST");
  FinishedPoints again(file, "one", Log());
  EXPECT_TRUE(again.contains(points[0]));
  finish_points(inputs, points, Compute{.threads = 1}, {}, &again);
  EXPECT_EQ(read_file(file, "E_TEST"), written) << "the seconds of a new fit would differ";
  CollectingLog log{Log()};
  const FinishedPoints other(file, "two", log.log());
  EXPECT_FALSE(other.contains(points[0])) << "of other data";
  ASSERT_EQ(log.texts().size(), 1U);
  EXPECT_THAT(log.texts()[0], ::testing::HasSubstr("2 points"));
}

TEST(SweepPoints, ALineThatIsNoPointIsRefused) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "points.jsonl";
  write_file_atomic(file, "{\"digest\": \"one\", \"lambda1\": 0}\n");
  try {
    FinishedPoints(file, "one", Log());
    ADD_FAILURE() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_CKPT");
  }
}

}  // namespace
}  // namespace moecollab::training
