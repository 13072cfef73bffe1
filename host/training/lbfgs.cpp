#include "training/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

namespace moecollab::training {
namespace {

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// a + scale·b
std::vector<double> plus(std::vector<double> a, double scale, const std::vector<double>& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += scale * b[i];
  return a;
}

}  // namespace

Lbfgs::Lbfgs(std::vector<double> start, Function f, int history)
    : f_(std::move(f)),
      history_(static_cast<size_t>(history)),
      x_(std::move(start)),
      gradient_(x_.size()) {
  value_ = evaluate(x_, gradient_);
}

double Lbfgs::evaluate(const std::vector<double>& x, std::vector<double>& gradient) {
  const double value = f_(x, gradient);
  if (std::isfinite(value) && std::isfinite(dot(gradient, gradient))) return value;
  ++not_finite_;
  return std::numeric_limits<double>::infinity();
}

// The two-loop recursion: −H·gradient.
std::vector<double> Lbfgs::direction() const {
  std::vector<double> d = plus(std::vector<double>(x_.size(), 0.0), -1, gradient_);
  std::vector<double> alpha(pairs_.size());
  for (size_t i = pairs_.size(); i-- > 0;) {
    alpha[i] = pairs_[i].rho * dot(pairs_[i].s, d);
    d = plus(std::move(d), -alpha[i], pairs_[i].y);
  }
  if (!pairs_.empty()) {
    const Pair& last = pairs_.back();
    const double scale = 1 / (last.rho * dot(last.y, last.y));
    for (double& value : d) value *= scale;
  }
  for (size_t i = 0; i < pairs_.size(); ++i)
    d = plus(std::move(d), alpha[i] - pairs_[i].rho * dot(pairs_[i].y, d), pairs_[i].s);
  return d;
}

void Lbfgs::remember(const Point& next) {
  Pair pair{plus(next.x, -1, x_), plus(next.gradient, -1, gradient_), 0};
  const double sy = dot(pair.s, pair.y);
  if (!(sy > 1e-10 * dot(pair.y, pair.y))) return;  // keeps the estimate positive definite
  pair.rho = 1 / sy;
  pairs_.push_back(std::move(pair));
  if (pairs_.size() > history_) pairs_.pop_front();
}

bool Lbfgs::step() {
  if (!std::isfinite(value_)) return false;
  std::vector<double> d = direction();
  double slope = dot(gradient_, d);
  if (!(slope < 0)) {
    pairs_.clear();
    d = direction();
    slope = dot(gradient_, d);
  }
  if (!(slope < 0)) return false;
  // Nothing is known of the scale before the first pair: begin with a step of length one.
  double t = pairs_.empty() ? std::min(1.0, 1 / std::sqrt(-slope)) : 1.0;
  double low = 0, high = std::numeric_limits<double>::infinity();
  std::optional<Point> lower;  // at `low`
  for (int trial = 0; trial < kMaxTrials; ++trial) {
    Point point{plus(x_, t, d), std::vector<double>(x_.size()), 0};
    point.value = evaluate(point.x, point.gradient);
    const bool decreased =
        point.value < value_ && point.value <= value_ + kSufficientDecrease * t * slope;
    const bool flat = decreased && dot(point.gradient, d) >= kCurvature * slope;
    (decreased ? low : high) = t;
    if (decreased) lower = std::move(point);
    if (flat) break;
    t = std::isfinite(high) ? (low + high) / 2 : 2 * low;
    if (!lower && !is_visible(value_, t, slope)) break;
  }
  if (!lower) return false;
  remember(*lower);
  x_ = std::move(lower->x);
  gradient_ = std::move(lower->gradient);
  value_ = lower->value;
  return true;
}

}  // namespace moecollab::training
