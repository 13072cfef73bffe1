#include "training/adamw.h"

#include <gtest/gtest.h>

#include <cmath>

namespace moecollab::training {
namespace {

// p ← p·(1 − lr·wd) − lr·m̂ / (√v̂ + ε), number by number.
TEST(AdamWTest, StepsAreThoseOfTheFormula) {
  const AdamWOptions options{.lr = 3e-2};
  at::Tensor value = at::linspace(-2, 2, 37), grad = at::zeros({37});
  at::Tensor other = value.clone(), other_grad = at::zeros({37});
  AdamW optimiser({{value, grad, true, 1.0}, {other, other_grad, false, 10.0}}, options);
  std::vector<double> p(37), m(37), v(37), q(37);
  for (size_t i = 0; i < 37; ++i) p[i] = q[i] = value[static_cast<int64_t>(i)].item<double>();
  for (int step = 1; step <= 5; ++step) {
    grad.copy_(at::sin(at::arange(37, at::kFloat) * step));
    other_grad.copy_(grad);
    const at::Tensor g = grad.clone();
    optimiser.step();
    for (size_t i = 0; i < 37; ++i) {
      const double gradient = g[static_cast<int64_t>(i)].item<double>();
      m[i] = options.beta1 * m[i] + (1 - options.beta1) * gradient;
      v[i] = options.beta2 * v[i] + (1 - options.beta2) * gradient * gradient;
      const double first = m[i] / (1 - std::pow(options.beta1, step));
      const double second = v[i] / (1 - std::pow(options.beta2, step));
      const double move = options.lr * first / (std::sqrt(second) + options.eps);
      p[i] = p[i] * (1 - options.lr * options.weight_decay) - move;
      q[i] -= 10 * move;
      EXPECT_NEAR(value[static_cast<int64_t>(i)].item<double>(), p[i], 2e-6) << step << " " << i;
      EXPECT_NEAR(other[static_cast<int64_t>(i)].item<double>(), q[i], 2e-5) << step << " " << i;
    }
    EXPECT_TRUE(grad.eq(0).all().item<bool>());
  }
}

TEST(AdamWTest, ContinuesFromItsStateToTheSameBits) {
  const auto gradient = [](int step) { return at::cos(at::arange(20, at::kFloat) * step); };
  at::Tensor a = at::ones({20}), ga = at::zeros({20}), b = at::ones({20}), gb = at::zeros({20});
  AdamW whole({{a, ga}}, {}), first({{b, gb}}, {});
  for (int step = 0; step < 3; ++step) {
    ga.copy_(gradient(step));
    gb.copy_(gradient(step));
    whole.step();
    first.step();
  }
  AdamW second({{b, gb}}, {});
  const auto from = first.state(), to = second.state();
  for (size_t i = 0; i < to.size(); ++i) to[i].second.copy_(from[i].second);
  second.set_steps(first.steps());
  ga.copy_(gradient(3));
  gb.copy_(gradient(3));
  whole.step();
  second.step();
  EXPECT_TRUE(a.equal(b));
}

// Weights that are not finite are for the trainer to see; the step does not throw.
TEST(AdamWTest, ARateBeyondAFloatDoesNotThrow) {
  at::Tensor value = at::ones({4}), grad = at::ones({4});
  AdamW optimiser({{value, grad, false}}, {.lr = 1e300});
  EXPECT_NO_THROW(optimiser.step());
  EXPECT_FALSE(value.lt(1e30).logical_and(value.gt(-1e30)).any().item<bool>());
}

}  // namespace
}  // namespace moecollab::training
