#include "training/calibration.h"

#include <gtest/gtest.h>

#include <cmath>

#include "torch/training/gate_toy.h"

namespace moecollab::training {
namespace {

// 3 of 4 texts are of class 0 and the logits are (2·ln 3, 0) for all: NLL is least where the
// softmax is (¾, ¼), which is ln 3 / T · 2 = ln 3: T = 2.
struct Overconfident {
  at::Tensor logits = at::tensor({2 * std::log(3.0F), 0.0F}).expand({40, 2}).contiguous();
  at::Tensor classes = at::arange(40).remainder(4).eq(3).to(at::kLong);
};

TEST(Calibration, FindsTheTemperatureThatMinimisesTheLikelihoodLoss) {
  const Overconfident data;
  EXPECT_NEAR(fit_temperature(data.logits, data.classes), 2.0, 1e-5);
  const double entropy = -(0.75 * std::log(0.75) + 0.25 * std::log(0.25));
  EXPECT_NEAR(negative_log_likelihood(data.logits, data.classes, 2.0), entropy, 1e-6);
  EXPECT_GT(negative_log_likelihood(data.logits, data.classes, 1.0), entropy);
}

TEST(Calibration, StopsAtTheBoundsWhereThereIsNoMinimum) {
  const Overconfident data;
  EXPECT_EQ(fit_temperature(data.logits, at::zeros({40}, at::kLong)), kMinTemperature)
      << "always right: the sharper the better";
  EXPECT_EQ(fit_temperature(data.logits, at::ones({40}, at::kLong)), kMaxTemperature)
      << "always wrong: the flatter the better";
}

TEST(Calibration, JudgesEachExpertOnItsOwnLabelsOnly) {
  GateToy toy;
  const std::vector<Calibration> fitted =
      calibrate(toy.data.held_out.targets, toy.data.held_out.logits, toy.experts);
  ASSERT_EQ(fitted.size(), 3U);
  EXPECT_EQ(fitted[0].texts + fitted[2].texts, 400);
  EXPECT_EQ(fitted[0].texts, fitted[1].texts);
  EXPECT_EQ(toy.experts[2].temperature, kMinTemperature) << "always right on b";
  // Right on about half of a, with logits 3 apart: softmax(±3/T) must be about (½, ½).
  EXPECT_GT(toy.experts[0].temperature, 5.0);
  for (const Calibration& c : fitted) EXPECT_LE(c.nll_after, c.nll_before + 1e-9);
}

TEST(Calibration, AnExpertWithoutTextsKeepsItsTemperature) {
  GateToy toy;
  toy.data.held_out.targets = at::zeros({400}, at::kLong);
  toy.experts[2].temperature = 1.25;
  EXPECT_EQ(calibrate(toy.data.held_out.targets, toy.data.held_out.logits, toy.experts)[2].texts,
            0);
  EXPECT_EQ(toy.experts[2].temperature, 1.25);
}

}  // namespace
}  // namespace moecollab::training
