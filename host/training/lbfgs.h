// L-BFGS (Liu and Nocedal 1989) for small smooth problems, full batch.
#pragma once

#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

namespace moecollab::training {

// Constants of the weak Wolfe conditions, and the trials of one line search.
inline constexpr double kSufficientDecrease = 1e-4, kCurvature = 0.9;
inline constexpr int kMaxTrials = 30;
// The part of a value that it is known to: losses are sums in float32, in which a search for less
// would go through all its trials. (Those of growth, in float64, need no more.)
inline constexpr double kKnownTo = 5e-8;
// Whether a step of length t along a slope promises a decrease that the value can show.
inline bool is_visible(double value, double t, double slope) {
  return -t * slope > kKnownTo * std::abs(value);
}

// Minimises f over x in double precision, with a line search for the weak Wolfe conditions by
// bisection (Lewis and Overton 2013, algorithm 2.6). Not thread-safe.
class Lbfgs {
 public:
  // Value at x; writes the gradient, of x's size. May be NaN or infinite: the step is then
  // shortened.
  using Function =
      std::function<double(const std::vector<double>& x, std::vector<double>& gradient)>;

  // Evaluates f at `start`. `history`: pairs kept for the estimate of the curvature.
  Lbfgs(std::vector<double> start, Function f, int history = 10);

  // One iteration. False if no step lowers f any more: x is then as before.
  bool step();

  const std::vector<double>& x() const { return x_; }
  double value() const { return value_; }
  // Evaluations that gave no finite number, in all.
  int64_t not_finite() const { return not_finite_; }

 private:
  struct Point {
    std::vector<double> x, gradient;
    double value;
  };
  struct Pair {
    std::vector<double> s, y;  // x and gradient, after less before
    double rho;                // 1 / sᵀy
  };
  std::vector<double> direction() const;
  double evaluate(const std::vector<double>& x, std::vector<double>& gradient);
  void remember(const Point& next);

  Function f_;
  size_t history_;
  std::vector<double> x_, gradient_;
  double value_ = 0;
  std::deque<Pair> pairs_;
  int64_t not_finite_ = 0;
};

}  // namespace moecollab::training
