#include "training/batched_lbfgs.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "encoder/features.h"
#include "training/lbfgs.h"

namespace moecollab::training {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The inner products of one problem's basis.
class Gram {
 public:
  Gram(const double* products, int64_t history)
      : products_(products), history_(history), width_(2 * history + 1) {}

  int64_t change(int64_t slot) const { return slot; }
  int64_t gradient_change(int64_t slot) const { return history_ + slot; }
  int64_t gradient() const { return width_ - 1; }
  double operator()(int64_t a, int64_t b) const { return products_[a * width_ + b]; }
  // The product of the basis vector a with Σ_b c_b·b.
  double with(int64_t a, std::span<const double> coefficients) const {
    double sum = 0;
    for (int64_t b = 0; b < width_; ++b)
      sum += coefficients[static_cast<size_t>(b)] * (*this)(a, b);
    return sum;
  }
  // Whether the pair keeps the estimate of the curvature positive definite.
  bool is_usable(int64_t slot) const {
    return sy(slot) > 1e-10 * (*this)(gradient_change(slot), gradient_change(slot));
  }
  double sy(int64_t slot) const { return (*this)(change(slot), gradient_change(slot)); }
  double scale(int64_t slot) const {
    return sy(slot) / (*this)(gradient_change(slot), gradient_change(slot));
  }

 private:
  const double* products_;
  int64_t history_, width_;
};

// The two-loop recursion −H·gradient over the usable pairs of `slots`, newest first, as
// coefficients of the basis.
void find_direction(const Gram& gram, std::span<const int64_t> slots, std::span<double> d) {
  std::vector<double> alpha(slots.size());
  std::ranges::fill(d, 0.0);
  d[static_cast<size_t>(gram.gradient())] = -1;
  for (size_t i = 0; i < slots.size(); ++i) {
    alpha[i] = gram.with(gram.change(slots[i]), d) / gram.sy(slots[i]);
    d[static_cast<size_t>(gram.gradient_change(slots[i]))] -= alpha[i];
  }
  if (slots.empty()) return;
  for (double& coefficient : d) coefficient *= gram.scale(slots.front());
  for (size_t i = slots.size(); i-- > 0;) {
    const double beta = gram.with(gram.gradient_change(slots[i]), d) / gram.sy(slots[i]);
    d[static_cast<size_t>(gram.change(slots[i]))] += alpha[i] - beta;
  }
}

at::Tensor on(at::Device device, std::vector<double> values) {
  return at::tensor(values, at::kDouble).to(device);
}

}  // namespace

struct BatchedLbfgs::Search {
  int64_t problem;
  double slope, t;
  double low = 0, high = kInfinity;
};

BatchedLbfgs::Evaluation BatchedLbfgs::differentiated(
    const at::Tensor& x, const std::function<at::Tensor(const at::Tensor&)>& value) {
  const at::AutoGradMode with_gradient(true);
  const at::Tensor parameters = x.to(at::kFloat).requires_grad_(true);
  const at::Tensor values = value(parameters);
  values.sum().backward();
  return {values.detach().to(at::kDouble), parameters.grad().to(at::kDouble)};
}

BatchedLbfgs::BatchedLbfgs(const at::Tensor& start, Function f, int64_t history)
    : f_(std::move(f)),
      history_(history),
      width_(2 * history + 1),
      x_(start.clone()),
      states_(static_cast<size_t>(start.size(0))) {
  const at::NoGradGuard no_grad;
  basis_ = at::zeros({x_.size(0), width_, x_.size(1)}, x_.options());
  std::vector<int64_t> all(states_.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  const at::Tensor index = encoder::index_tensor(all, x_.device());
  const Trial first = evaluate(x_, index, x_, all);
  basis_.select(1, width_ - 1).copy_(first.gradient);
  for (size_t p = 0; p < states_.size(); ++p) states_[p].value = first.value[p];
}

BatchedLbfgs::Trial BatchedLbfgs::evaluate(const at::Tensor& x, const at::Tensor& index,
                                           const at::Tensor& direction,
                                           std::span<const int64_t> problems) {
  const Evaluation found = f_(x, index);
  // One copy from the device for all that the search asks.
  const std::vector<double> numbers = encoder::to_doubles(
      at::cat({found.value, (found.gradient * direction).sum(1), found.gradient.square().sum(1)}));
  const size_t n = problems.size();
  Trial trial{
      {numbers.begin(), numbers.begin() + static_cast<int64_t>(n)},
      {numbers.begin() + static_cast<int64_t>(n), numbers.begin() + static_cast<int64_t>(2 * n)},
      found.gradient};
  for (size_t i = 0; i < n; ++i) {
    if (std::isfinite(numbers[i]) && std::isfinite(numbers[2 * n + i])) continue;
    ++states_[static_cast<size_t>(problems[i])].bad_in_step;
    trial.value[i] = kInfinity;
  }
  return trial;
}

std::vector<BatchedLbfgs::Search> BatchedLbfgs::begin_searches(std::span<const int64_t> problems,
                                                               at::Tensor& directions) {
  const at::Tensor products =
      at::bmm(basis_, basis_.transpose(1, 2)).to(encoder::kHost).contiguous();
  std::vector<double> coefficients(states_.size() * static_cast<size_t>(width_));
  std::vector<Search> searches;
  for (const int64_t p : problems) {
    const Gram gram(products.const_data_ptr<double>() + p * width_ * width_, history_);
    const auto d = std::span(coefficients)
                       .subspan(static_cast<size_t>(p * width_), static_cast<size_t>(width_));
    std::vector<int64_t> slots;
    for (int64_t age = 1; age <= std::min(history_, steps_); ++age) {
      const int64_t slot = (steps_ - age) % history_;
      if (gram.is_usable(slot)) slots.push_back(slot);
    }
    find_direction(gram, slots, d);
    double slope = gram.with(gram.gradient(), d);
    if (!(slope < 0)) {
      basis_[p].narrow(0, 0, 2 * history_).zero_();
      slots.clear();
      find_direction(gram, slots, d);
      slope = gram.with(gram.gradient(), d);
    }
    if (!(slope < 0) || !std::isfinite(states_[static_cast<size_t>(p)].value)) continue;
    // Nothing is known of the scale before the first pair: begin with a step of length one.
    searches.push_back({p, slope, slots.empty() ? std::min(1.0, 1 / std::sqrt(-slope)) : 1.0});
  }
  directions =
      on(x_.device(), std::move(coefficients)).view({x_.size(0), 1, width_}).bmm(basis_).squeeze(1);
  return searches;
}

std::vector<bool> BatchedLbfgs::step(std::span<const int64_t> problems) {
  const at::NoGradGuard no_grad;
  for (const int64_t p : problems) states_[static_cast<size_t>(p)].bad_in_step = 0;
  at::Tensor directions;
  std::vector<Search> searching = begin_searches(problems, directions);
  at::Tensor x = x_.clone(), gradient = basis_.select(1, width_ - 1).clone();
  std::vector<double> reached(states_.size(), kInfinity);  // the value at `low`
  for (int trial = 0; trial < kMaxTrials && !searching.empty(); ++trial) {
    std::vector<int64_t> which;
    std::vector<double> lengths;
    for (const Search& search : searching) {
      which.push_back(search.problem);
      lengths.push_back(search.t);
    }
    const at::Tensor index = encoder::index_tensor(which, x_.device());
    const at::Tensor along = directions.index_select(0, index);
    const at::Tensor to =
        at::addcmul(x_.index_select(0, index), on(x_.device(), lengths).unsqueeze(1), along);
    const Trial at_to = evaluate(to, index, along, which);
    std::vector<int64_t> better;  // of this trial's problems
    std::vector<Search> next;
    for (size_t i = 0; i < searching.size(); ++i) {
      Search search = searching[i];
      const double before = states_[static_cast<size_t>(search.problem)].value;
      const bool decreased =
          at_to.value[i] < before &&
          at_to.value[i] <= before + kSufficientDecrease * search.t * search.slope;
      (decreased ? search.low : search.high) = search.t;
      if (decreased) {
        better.push_back(static_cast<int64_t>(i));
        reached[static_cast<size_t>(search.problem)] = at_to.value[i];
      }
      if (decreased && at_to.slope[i] >= kCurvature * search.slope) continue;
      search.t = std::isfinite(search.high) ? (search.low + search.high) / 2 : 2 * search.low;
      if (search.low == 0 && !is_visible(before, search.t, search.slope)) continue;
      next.push_back(search);
    }
    if (!better.empty()) {
      const at::Tensor rows = encoder::index_tensor(better, x_.device());
      const at::Tensor places = index.index_select(0, rows);
      x.index_copy_(0, places, to.index_select(0, rows));
      gradient.index_copy_(0, places, at_to.gradient.index_select(0, rows));
    }
    searching = std::move(next);
  }
  const int64_t slot = steps_++ % history_;
  basis_.select(1, slot).copy_(x - x_);
  basis_.select(1, history_ + slot).copy_(gradient - basis_.select(1, width_ - 1));
  basis_.select(1, width_ - 1).copy_(gradient);
  x_ = x;
  std::vector<bool> fell;
  for (const int64_t p : problems) {
    fell.push_back(std::isfinite(reached[static_cast<size_t>(p)]));
    if (fell.back()) states_[static_cast<size_t>(p)].value = reached[static_cast<size_t>(p)];
  }
  return fell;
}

}  // namespace moecollab::training
