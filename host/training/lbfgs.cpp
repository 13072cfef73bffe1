#include "training/lbfgs.h"

#include <cmath>
#include <deque>

namespace moecollab::training {
namespace {

struct Pair {
  at::Tensor s, y;  // changes of x and of the gradient
  double rho;       // 1 / sᵀy
};

double dot(const at::Tensor& a, const at::Tensor& b) { return a.dot(b).item<double>(); }

// −H·g by the two-loop recursion.
at::Tensor direction(const std::deque<Pair>& pairs, const at::Tensor& gradient) {
  at::Tensor q = gradient.clone();
  std::vector<double> alpha(pairs.size());
  for (size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = pairs[i].rho * dot(pairs[i].s, q);
    q.sub_(pairs[i].y, alpha[i]);
  }
  if (!pairs.empty()) q.mul_(1 / (pairs.back().rho * dot(pairs.back().y, pairs.back().y)));
  for (size_t i = 0; i < pairs.size(); ++i)
    q.add_(pairs[i].s, alpha[i] - pairs[i].rho * dot(pairs[i].y, q));
  return q.neg_();
}

}  // namespace

LbfgsResult minimise(const SmoothFunction& function, const at::Tensor& start,
                     const LbfgsOptions& options) {
  constexpr double kArmijo = 1e-4;
  constexpr int kHalvings = 30;
  LbfgsResult out{start.to(at::kDouble).clone(), 0, 0};
  at::Tensor gradient = at::zeros_like(out.x);
  out.loss = function(out.x, gradient);
  std::deque<Pair> pairs;
  while (out.iterations < options.iterations &&
         gradient.abs().max().item<double>() > options.tolerance) {
    const at::Tensor step = direction(pairs, gradient);
    const double slope = dot(step, gradient);
    // The first step has no scale of its own.
    double length = pairs.empty() ? std::min(1.0, 1 / gradient.norm().item<double>()) : 1.0;
    at::Tensor next, next_gradient = at::zeros_like(gradient);
    double loss = out.loss;
    for (int halving = 0; halving < kHalvings; ++halving, length /= 2) {
      next = out.x + length * step;
      loss = function(next, next_gradient);
      if (std::isfinite(loss) && loss <= out.loss + kArmijo * length * slope) break;
      next = at::Tensor();
    }
    if (!next.defined()) break;  // no step goes down: as low as the numbers tell
    Pair pair{next - out.x, next_gradient - gradient, 0};
    const double curvature = dot(pair.s, pair.y);
    if (curvature > 1e-12 * dot(pair.y, pair.y)) {
      pair.rho = 1 / curvature;
      pairs.push_back(std::move(pair));
      if (pairs.size() > static_cast<size_t>(options.history)) pairs.pop_front();
    }
    const bool rests = out.loss - loss <= 1e-9 * std::max(1.0, std::abs(out.loss));
    out.x = next;
    gradient = next_gradient.clone();
    out.loss = loss;
    ++out.iterations;
    if (rests) break;
  }
  return out;
}

}  // namespace moecollab::training
