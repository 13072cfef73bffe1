// L-BFGS for many small smooth problems of one size at once, on a device. lbfgs.h has the one for a
// single problem.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace moecollab::training {

// Minimises P functions of n numbers each in double precision, each as Lbfgs does. All that need a
// value at a time are evaluated together, and all vectors stay on the device: the directions are
// found in the basis of the kept pairs and the gradients, whose inner products alone come to the
// host (Chen, Wang and Zhou 2014, "Large-scale L-BFGS using MapReduce"). Not thread-safe.
class BatchedLbfgs {
 public:
  struct Evaluation {
    at::Tensor value;     // [R] float64; NaN or infinite values shorten the problem's step
    at::Tensor gradient;  // [R, n] float64
  };
  // x [R, n] float64 of the problems `which` [R] int64, all on the device.
  using Function = std::function<Evaluation(const at::Tensor& x, const at::Tensor& which)>;

  // The values [R] float32 that `value` gives for x [R, n] as float32, and their gradients.
  static Evaluation differentiated(const at::Tensor& x,
                                   const std::function<at::Tensor(const at::Tensor&)>& value);

  // Evaluates all problems at `start` [P, n] float64. `history`: pairs kept for the estimate of the
  // curvature; a step that gives no usable pair takes the place of one, too.
  BatchedLbfgs(const at::Tensor& start, Function f, int64_t history = 10);

  // One iteration of these problems, the others stay. Gives, for each, whether its value fell: if
  // not, no step lowers it any more.
  std::vector<bool> step(std::span<const int64_t> problems);

  const at::Tensor& x() const { return x_; }  // [P, n]
  double value(int64_t problem) const { return states_[static_cast<size_t>(problem)].value; }
  // Evaluations that gave no finite number in the last step, or at the start.
  int64_t not_finite_in_step(int64_t problem) const {
    return states_[static_cast<size_t>(problem)].bad_in_step;
  }

 private:
  struct State {
    double value = 0;
    int64_t bad_in_step = 0;
  };
  struct Search;  // along one problem's direction
  // Value, slope along `direction` and gradient at x of the problems `index`.
  struct Trial {
    std::vector<double> value, slope;
    at::Tensor gradient;
  };
  Trial evaluate(const at::Tensor& x, const at::Tensor& index, const at::Tensor& direction,
                 std::span<const int64_t> problems);
  std::vector<Search> begin_searches(std::span<const int64_t> problems, at::Tensor& directions);

  Function f_;
  int64_t history_, width_;  // width of the basis
  at::Tensor x_;
  at::Tensor basis_;  // [P, 2·history + 1, n]: changes of x, changes of the gradient, the gradient
  int64_t steps_ = 0;
  std::vector<State> states_;
};

}  // namespace moecollab::training
