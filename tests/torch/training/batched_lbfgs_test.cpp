#include "training/batched_lbfgs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "encoder/features.h"
#include "torch/test_device.h"
#include "training/lbfgs.h"

namespace moecollab::training {
namespace {

// Rosenbrock's valleys a_i·(x_1 − x_0²)² + (1 − x_0)², minimum 0 at (1, 1), one for each a.
class Valleys {
 public:
  explicit Valleys(std::vector<double> steepness, at::Device device = encoder::kHost)
      : steepness_(at::tensor(steepness, at::kDouble).to(device)) {}

  BatchedLbfgs::Evaluation operator()(const at::Tensor& x, const at::Tensor& which) {
    evaluated += which.numel();
    const at::Tensor a = steepness_.index_select(0, which), x0 = x.select(1, 0);
    const at::Tensor c = 1 - x0, b = x.select(1, 1) - x0 * x0;
    return {c * c + a * b * b, at::stack({c * -2 - a * x0 * b * 4, a * b * 2}, 1)};
  }

  int64_t evaluated = 0;

 private:
  at::Tensor steepness_;
};

double valley(double a, const std::vector<double>& x, std::vector<double>& g) {
  const double c = 1 - x[0], b = x[1] - x[0] * x[0];
  g = {-2 * c - 4 * a * x[0] * b, 2 * a * b};
  return c * c + a * b * b;
}

TEST(BatchedLbfgs, EachProblemTakesTheStepsThatItTakesAlone) {
  const std::vector<double> steepness = {1, 10, 100};
  Valleys f(steepness);
  BatchedLbfgs together(at::tensor({-1.2, 1.0}, at::kDouble).repeat({3, 1}), std::ref(f));
  std::vector<Lbfgs> alone;
  for (const double a : steepness) {
    alone.emplace_back(
        std::vector<double>{-1.2, 1.0},
        [a](const std::vector<double>& x, std::vector<double>& g) { return valley(a, x, g); });
  }
  for (int i = 0; i < 40; ++i) {
    together.step(std::vector<int64_t>{0, 1, 2});
    for (size_t p = 0; p < alone.size(); ++p) {
      alone[p].step();
      EXPECT_NEAR(together.value(static_cast<int64_t>(p)), alone[p].value(),
                  1e-6 * (1 + alone[p].value()))
          << "problem " << p << ", step " << i;
    }
  }
  for (int64_t p = 0; p < 3; ++p) EXPECT_LT(together.value(p), 1e-4);
}

TEST(BatchedLbfgs, OnlyTheProblemsAskedForMoveAndAreEvaluated) {
  Valleys f({1, 100});
  BatchedLbfgs search(at::tensor({-1.2, 1.0}, at::kDouble).repeat({2, 1}), std::ref(f));
  const at::Tensor before = search.x().clone();
  const double value = search.value(0);
  f.evaluated = 0;
  for (int i = 0; i < 30; ++i) search.step(std::vector<int64_t>{1});
  EXPECT_TRUE(search.x()[0].equal(before[0]));
  EXPECT_EQ(search.value(0), value);
  const int64_t of_one = f.evaluated;
  Valleys single({100});
  BatchedLbfgs alone(at::tensor({-1.2, 1.0}, at::kDouble).view({1, 2}), std::ref(single));
  single.evaluated = 0;
  for (int i = 0; i < 30; ++i) alone.step(std::vector<int64_t>{0});
  EXPECT_EQ(of_one, single.evaluated);
  EXPECT_EQ(search.value(1), alone.value(0));
}

// (x − 2)² − 0.01·ln(1 − x) has no value from 1 on, and its minimum just below; the other problem
// has no value anywhere.
TEST(BatchedLbfgs, AProblemWithoutFiniteValuesHarmsNoOther) {
  const auto f = [](const at::Tensor& x, const at::Tensor& which) {
    const at::Tensor nowhere = which.eq(1).unsqueeze(1);
    const at::Tensor v = (x - 2).square() - (1 - x).log() * 0.01, g = (x - 2) * 2 + 0.01 / (1 - x);
    return BatchedLbfgs::Evaluation{v.masked_fill(nowhere, NAN).squeeze(1),
                                    g.masked_fill(nowhere, NAN)};
  };
  BatchedLbfgs search(at::full({2, 1}, 0.1, at::kDouble), f);
  EXPECT_FALSE(std::isfinite(search.value(1)));
  EXPECT_EQ(search.not_finite_in_step(1), 1);
  std::vector<bool> fell;
  int64_t bad = 0;
  for (int i = 0; i < 50; ++i) {
    fell = search.step(std::vector<int64_t>{0, 1});
    bad += search.not_finite_in_step(0);
  }
  EXPECT_NEAR(search.x()[0].item<double>(), 0.995025, 1e-5);
  EXPECT_GT(bad, 0);
  EXPECT_EQ(search.not_finite_in_step(0), 0);
  EXPECT_FALSE(fell[0]) << "at the minimum";
  EXPECT_FALSE(fell[1]);
  EXPECT_EQ(search.x()[1].item<double>(), 0.1);
}

TEST(BatchedLbfgs, SearchesForNoDecreaseThatCannotBeSeen) {
  int64_t evaluated = 0;
  BatchedLbfgs flat(at::zeros({1, 1}, at::kDouble), [&](const at::Tensor& x, const at::Tensor&) {
    ++evaluated;
    return BatchedLbfgs::Evaluation{at::ones({x.size(0)}, at::kDouble), at::full_like(x, 1e-3)};
  });
  EXPECT_FALSE(flat.step(std::vector<int64_t>{0})[0]);
  EXPECT_EQ(evaluated, 1 + 5) << "as alone";
}

TEST(BatchedLbfgs, StaysOnTheDevice) {
  const at::Device device = moecollab::testing::use_test_device();
  Valleys f({1, 10}, device);
  BatchedLbfgs search(at::tensor({-1.2, 1.0}, at::kDouble).repeat({2, 1}).to(device), std::ref(f));
  for (int i = 0; i < 40; ++i) search.step(std::vector<int64_t>{0, 1});
  EXPECT_EQ(search.x().device(), device);
  EXPECT_LT(search.value(0), 1e-8);
  EXPECT_LT(search.value(1), 1e-8);
}

}  // namespace
}  // namespace moecollab::training
