#include "fusion/fusion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "base/error.h"

namespace moecollab::fusion {
namespace {

// Two experts over different spaces: a knows {x, y} (global 0, 1), b knows {u, v, w} (global 2, 3,
// 4).
struct TwoSpaces : ::testing::Test {
  TwoSpaces() {
    labels.add({"a/1", {"x", "y"}}, false);
    labels.add({"b/1", {"u", "v", "w"}}, false);
    experts = {{0, {0, 1}, 1.0}, {1, {2, 3, 4}, 1.0}};
    // softmax(ln 3, ln 1) = (.75, .25); softmax(ln 2, ln 1, ln 1) = (.5, .25, .25).
    logits = {at::tensor({std::log(3.0F), 0.0F}).view({1, 2}),
              at::tensor({std::log(2.0F), 0.0F, 0.0F}).view({1, 3})};
  }
  at::Tensor fused(Mode mode, float g_a) {
    return fuse(mode, at::tensor({g_a, 1 - g_a}).view({1, 2}), logits, experts, labels);
  }
  static void expect_row(const at::Tensor& row, const std::vector<double>& expected) {
    ASSERT_EQ(row.numel(), static_cast<int64_t>(expected.size()));
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(row.flatten()[static_cast<int64_t>(i)].item<double>(), expected[i], 1e-6) << i;
  }

  LabelUnion labels;
  std::vector<ExpertLabels> experts;
  std::vector<at::Tensor> logits;
};

// p = (.6·.75, .6·.25, .4·.5, .4·.25, .4·.25).
TEST_F(TwoSpaces, MixtureIsTheLinearOpinionPool) {
  expect_row(fused(Mode::kMixture, 0.6F).exp(), {0.45, 0.15, 0.2, 0.1, 0.1});
}

// Columns are positions: (.6·ln 3 + .4·ln 2, 0 + 0, 0 + 0), the padded third logit of a being a
// real 0.
TEST_F(TwoSpaces, PaperAddsPaddedLogitsByPosition) {
  expect_row(fused(Mode::kPaper, 0.6F), {0.6 * std::log(3) + 0.4 * std::log(2), 0, 0});
}

// (.6·.75 + .4·.5, .6·.25 + .4·.25, .4·.25): the padded place has probability 0.
TEST_F(TwoSpaces, MaskedAddsProbabilitiesByPosition) {
  expect_row(fused(Mode::kMasked, 0.6F).exp(), {0.65, 0.25, 0.1});
}

// score = g·(ln p + ln C): .5·(ln(.75·2), ln(.25·2)), .5·(ln(.5·3), ln(.25·3), ln(.25·3)), then
// softmax: √1.5, √.5, √1.5, √.75, √.75 over their sum.
TEST_F(TwoSpaces, LogitUnionScoresAgainstUniform) {
  const double sum = 2 * std::sqrt(1.5) + std::sqrt(0.5) + 2 * std::sqrt(0.75);
  expect_row(fused(Mode::kLogitUnion, 0.5F).exp(),
             {std::sqrt(1.5) / sum, std::sqrt(0.5) / sum, std::sqrt(1.5) / sum,
              std::sqrt(0.75) / sum, std::sqrt(0.75) / sum});
}

TEST_F(TwoSpaces, LogitUnionKnowsNothingOfUnselectedLabels) {
  const at::Tensor p = fused(Mode::kLogitUnion, 1.0F).exp();
  EXPECT_EQ(p.flatten().slice(0, 2).sum().item<double>(), 0.0);
  EXPECT_NEAR(p.sum().item<double>(), 1.0, 1e-6);
}

TEST_F(TwoSpaces, TemperatureDividesLogits) {
  experts[0].temperature = 2.0;  // softmax(ln 3 / 2, 0) = √3 / (√3 + 1)
  const double p = std::sqrt(3.0) / (std::sqrt(3.0) + 1);
  EXPECT_NEAR(fused(Mode::kMixture, 1.0F).exp()[0][0].item<double>(), p, 1e-6);
}

TEST_F(TwoSpaces, AnExpertsOwnOrderIsMappedByColumns) {
  experts[0].columns = {1, 0};  // this expert lists y before x
  expect_row(fused(Mode::kMixture, 1.0F).exp().flatten().slice(0, 0, 2), {0.25, 0.75});
  EXPECT_NEAR(fused(Mode::kPaper, 1.0F)[0][1].item<double>(), std::log(3), 1e-6);
}

TEST_F(TwoSpaces, TaskLossIsTheNegativeLogProbability) {
  const at::Tensor target = at::tensor({2}, at::kLong);  // u: position 0 of b
  EXPECT_NEAR(task_loss(Mode::kMixture, fused(Mode::kMixture, 0.6F), target, labels).item<double>(),
              -std::log(0.2), 1e-6);
  EXPECT_NEAR(task_loss(Mode::kMasked, fused(Mode::kMasked, 0.6F), target, labels).item<double>(),
              -std::log(0.65), 1e-6);
  // paper: softmax over (a, 0, 0) with a = .6·ln 3 + .4·ln 2.
  const double a = 0.6 * std::log(3) + 0.4 * std::log(2);
  EXPECT_NEAR(task_loss(Mode::kPaper, fused(Mode::kPaper, 0.6F), target, labels).item<double>(),
              std::log(std::exp(a) + 2) - a, 1e-6);
}

TEST_F(TwoSpaces, PredictAnswersInGlobalIds) {
  EXPECT_EQ(
      predict(Mode::kMixture, fused(Mode::kMixture, 0.6F), labels, std::nullopt).item<int64_t>(),
      0);
  EXPECT_EQ(predict(Mode::kMixture, fused(Mode::kMixture, 0.6F), labels, 1).item<int64_t>(), 2);
  EXPECT_EQ(predict(Mode::kPaper, fused(Mode::kPaper, 0.6F), labels, 1).item<int64_t>(), 2);
  EXPECT_THROW(predict(Mode::kPaper, fused(Mode::kPaper, 0.6F), labels, std::nullopt),
               std::logic_error);
}

// The gradient of each loss in the weights, against central differences.
TEST_F(TwoSpaces, GradientsInTheWeights) {
  for (const Mode mode : {Mode::kPaper, Mode::kMasked, Mode::kMixture, Mode::kLogitUnion}) {
    std::vector<at::Tensor> doubles = {logits[0].to(at::kDouble), logits[1].to(at::kDouble)};
    const at::Tensor target = at::tensor({3}, at::kLong);
    const auto loss = [&](const at::Tensor& w) {
      return task_loss(mode, fuse(mode, w, doubles, experts, labels), target, labels);
    };
    at::Tensor w = at::tensor({0.6, 0.4}, at::kDouble).view({1, 2}).requires_grad_(true);
    loss(w).backward();
    for (int64_t e = 0; e < 2; ++e) {
      constexpr double kStep = 1e-6;
      at::Tensor up = w.detach().clone(), down = w.detach().clone();
      up[0][e] += kStep;
      down[0][e] -= kStep;
      const double difference = (loss(up).item<double>() - loss(down).item<double>()) / (2 * kStep);
      EXPECT_NEAR(w.grad()[0][e].item<double>(), difference, 1e-6) << name(mode) << " expert " << e;
    }
  }
}

// Without a gradient the mixture is computed by loops, with one by operators.
TEST_F(TwoSpaces, ValuesAreTheSameWithAndWithoutAGradient) {
  experts = {{0, {1, 0}, 0.7}, {1, {2, 3, 4}, 1.0}, {1, {4, 2, 3}, 1.3}};
  for (const auto& [step, expert] : {std::pair{0.37, 0}, std::pair{1.91, 1}, std::pair{0.83, 2}}) {
    const int64_t classes = expert == 0 ? 2 : 3;
    if (logits.size() <= static_cast<size_t>(expert)) logits.emplace_back();
    logits[static_cast<size_t>(expert)] =
        at::sin(at::arange(40 * classes, at::kFloat) * step).mul(5).view({40, classes});
  }
  at::Tensor weights = at::softmax(at::cos(at::arange(120, at::kFloat)).mul(3).view({40, 3}), -1);
  weights.select(1, 1).narrow(0, 0, 20).zero_();
  weights.select(1, 2).zero_();  // an expert that no text asks
  for (const Mode mode : {Mode::kMixture, Mode::kMasked}) {
    const at::Tensor plain = fuse(mode, weights, logits, experts, labels);
    const at::Tensor watched =
        fuse(mode, weights.clone().requires_grad_(true), logits, experts, labels);
    EXPECT_TRUE(watched.requires_grad());
    EXPECT_TRUE(plain.equal(watched.detach())) << name(mode);
  }
}

// Beside a of TwoSpaces another expert of a/1, whose classes stand in the other order, says (.2,
// .8) of (x, y).
struct LogarithmicPools : TwoSpaces {
  LogarithmicPools() {
    experts.push_back({0, {1, 0}, 1.0});
    logits.push_back(at::tensor({std::log(4.0F), 0.0F}).view({1, 2}));
    for (ExpertLabels& expert : experts) expert.pool = OpinionPool::kLogarithmic;
  }
  at::Tensor pooled(const std::vector<float>& weights) {
    return fuse(Mode::kMixture, at::tensor(at::ArrayRef<float>(weights)).view({1, 3}), logits,
                experts, labels);
  }
};

// Halves within a/1, whose mass is .6: √(.75·.2) = √.15 and √(.25·.8) = √.2 over their sum.
TEST_F(LogarithmicPools, AreNormalisedProductsWithinTheirSpace) {
  const double x = std::sqrt(.15), y = std::sqrt(.2);
  expect_row(pooled({.3F, .4F, .3F}).exp(), {.6 * x / (x + y), .6 * y / (x + y), .2, .1, .1});
}

TEST_F(LogarithmicPools, OneExpertAloneAndNoneSpeakAsBefore) {
  expect_row(pooled({.6F, .4F, 0}).exp(), {.45, .15, .2, .1, .1});
  expect_row(pooled({0, 1, 0}).exp(), {0, 0, .5, .25, .25});
}

TEST_F(LogarithmicPools, AreOfTheirSpaceAlone) {
  experts[1].pool = OpinionPool::kLinear;
  const double x = std::sqrt(.15), y = std::sqrt(.2);
  expect_row(pooled({.3F, .4F, .3F}).exp(), {.6 * x / (x + y), .6 * y / (x + y), .2, .1, .1});
}

TEST_F(LogarithmicPools, WhoDoesNotKnowALabelIsRefused) {
  experts[2].columns.pop_back();
  logits[2] = logits[2].narrow(1, 0, 1);
  EXPECT_THROW(pooled({.3F, .4F, .3F}), std::logic_error);
}

// p = 10⁻²⁰ counts as 10⁻¹², in the fit of the shares too: x has (.75·10⁻¹²)^½ against (.25)^½.
TEST_F(LogarithmicPools, AnOpinionHasAFloor) {
  logits[2] = at::tensor({46.0517F, 0.0F}).view({1, 2});
  const double x = std::sqrt(.75e-12), y = std::sqrt(.25);
  EXPECT_NEAR(pooled({.5F, 0, .5F}).exp()[0][0].item<double>() / (x / (x + y)), 1, 1e-3);
}

TEST_F(LogarithmicPools, DifferentiatedTheyAreTheSame) {
  const at::Tensor weights = at::tensor({.3F, .4F, .3F}).view({1, 3}).requires_grad_(true);
  const at::Tensor fused = fuse(Mode::kMixture, weights, logits, experts, labels);
  const at::Tensor plain = pooled({.3F, .4F, .3F});
  EXPECT_TRUE(fused.detach().allclose(plain, 1e-6, 1e-6));
  fused[0][0].backward();
  for (int64_t e = 0; e < 3; ++e) {
    std::vector<float> more = {.3F, .4F, .3F}, less = more;
    more[static_cast<size_t>(e)] += 1e-3F;
    less[static_cast<size_t>(e)] -= 1e-3F;
    const double slope = (pooled(more) - pooled(less))[0][0].item<double>() / 2e-3;
    EXPECT_NEAR(weights.grad()[0][e].item<double>(), slope, 2e-3) << e;
  }
}

TEST(FusionMode, NamesRoundTripAndUnknownOnesNameTheNearest) {
  for (const Mode mode : {Mode::kPaper, Mode::kMasked, Mode::kMixture, Mode::kLogitUnion})
    EXPECT_EQ(parse_mode(name(mode)), mode);
  try {
    parse_mode("mixtures");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_CONFIG");
    EXPECT_NE(std::string(error.what()).find("did you mean `mixture`"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace moecollab::fusion
