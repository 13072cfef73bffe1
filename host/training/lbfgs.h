// L-BFGS (Nocedal and Wright 2006, algorithm 7.5) for small smooth problems on full batches.
#pragma once

#include <ATen/ATen.h>

#include <functional>

namespace moecollab::training {

struct LbfgsOptions {
  int32_t iterations = 200;  // at most
  int32_t history = 10;      // pairs kept
  double tolerance = 1e-6;   // stops where no gradient element exceeds it, or the loss rests
};

struct LbfgsResult {
  at::Tensor x;  // [p] float64
  double loss = 0;
  int32_t iterations = 0;
};

// Value and gradient [p] float64 at x [p] float64.
using SmoothFunction = std::function<double(const at::Tensor& x, at::Tensor& gradient)>;

// Minimises `function` from `start`, with backtracking to the Armijo condition; steps that break
// the curvature condition are not remembered. The loss never rises. Deterministic.
LbfgsResult minimise(const SmoothFunction& function, const at::Tensor& start,
                     const LbfgsOptions& options);

}  // namespace moecollab::training
