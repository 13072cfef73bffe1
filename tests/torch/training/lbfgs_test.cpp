#include "training/lbfgs.h"

#include <gtest/gtest.h>

#include <cmath>

namespace moecollab::training {
namespace {

// ½·(x_0 − 1)² + 50·(x_1 + 2)²: the minimum is (1, −2).
double bowl(const std::vector<double>& x, std::vector<double>& g) {
  g = {x[0] - 1, 100 * (x[1] + 2)};
  return 0.5 * (x[0] - 1) * (x[0] - 1) + 50 * (x[1] + 2) * (x[1] + 2);
}

// Rosenbrock's valley, minimum 0 at (1, 1).
double valley(const std::vector<double>& x, std::vector<double>& g) {
  const double a = 1 - x[0], b = x[1] - x[0] * x[0];
  g = {-2 * a - 400 * x[0] * b, 200 * b};
  return a * a + 100 * b * b;
}

TEST(Lbfgs, FindsTheMinimumOfABowl) {
  Lbfgs search({10, 10}, bowl);
  for (int i = 0; i < 30 && search.step(); ++i) {
  }
  EXPECT_NEAR(search.x()[0], 1, 1e-6);
  EXPECT_NEAR(search.x()[1], -2, 1e-6);
}

TEST(Lbfgs, FollowsACurvedValleyAndNeverRises) {
  Lbfgs search({-1.2, 1}, valley);
  double last = search.value();
  for (int i = 0; i < 100 && search.step(); ++i) {
    EXPECT_LT(search.value(), last);
    last = search.value();
  }
  EXPECT_LT(search.value(), 1e-10);
}

// log has no value below 0: the search must come back from there.
TEST(Lbfgs, ShortensStepsThatLeaveTheDomain) {
  Lbfgs search({0.01}, [](const std::vector<double>& x, std::vector<double>& g) {
    g = {1 - 1 / x[0]};
    return x[0] - std::log(x[0]);
  });
  for (int i = 0; i < 50 && search.step(); ++i) {
  }
  EXPECT_NEAR(search.x()[0], 1, 1e-5);
}

// A slope whose steps promise less than float32 shows of the value: trials would find nothing.
TEST(Lbfgs, SearchesForNoDecreaseThatCannotBeSeen) {
  int evaluated = 0;
  Lbfgs flat({0}, [&](const std::vector<double>&, std::vector<double>& g) {
    ++evaluated;
    g = {1e-3};
    return 1.0;
  });
  EXPECT_FALSE(flat.step());
  EXPECT_EQ(evaluated, 1 + 5) << "steps of 1 to 1/16; 1/32 promises 3e-8";
}

TEST(Lbfgs, StopsAtAMinimumAndAtNaN) {
  Lbfgs there({1, -2}, bowl);
  EXPECT_FALSE(there.step());
  Lbfgs nowhere({0}, [](const std::vector<double>&, std::vector<double>& g) {
    g = {NAN};
    return NAN;
  });
  EXPECT_FALSE(nowhere.step());
  EXPECT_EQ(nowhere.not_finite(), 1);
}

}  // namespace
}  // namespace moecollab::training
