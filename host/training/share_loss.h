// What texts lose by how the experts of their label space share it, and the slope of that by
// formula: autograd would run several times the operators, and a device waits for each.
#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "training/batched_lbfgs.h"
#include "training/opinions.h"

namespace moecollab::training {

// Scores are [F, k, n], of F fits side by side: W·ẑ + b, whose softmax over the k experts is w.
// Borrows the opinions. Not differentiable.
class ShareLoss {
 public:
  ShareLoss(const Opinions& opinions, fusion::OpinionPool pool);

  // weight [F, k, D] or undefined, bias [F, k].
  at::Tensor scores(const at::Tensor& weight, const at::Tensor& bias) const;
  // ln p of each label [F, C, n]; under a logarithmic pool up to a summand of the text's.
  at::Tensor pooled(const at::Tensor& scores) const;
  // −ln p(label) of each text [F, n], and its slope by each score [F, k, n].
  std::pair<at::Tensor, at::Tensor> with_slope(const at::Tensor& scores) const;

 private:
  int64_t experts() const { return log_p_.size(0); }

  const Opinions& opinions_;
  fusion::OpinionPool pool_;
  at::Tensor log_p_;  // [k, C, n]
  at::Tensor own_;    // linear: ln p_e(label) [k, n]
};

// What F fits minimise, each over its own n texts: the mean of −ln p(label) + ‖b‖²/(2n)
// + κ·‖W‖²/(2n). They change x: b [F, k], then W [F, k·D] unless κ is 0. Borrows the opinions.
class ShareObjective {
 public:
  // `takes` [F, n]: 1 for the texts of a fit, else 0.
  ShareObjective(const Opinions& opinions, fusion::OpinionPool pool, double penalty,
                 const at::Tensor& takes);

  int64_t fits() const { return part_.size(0); }
  int64_t numbers() const { return penalty_ == 0 ? experts_ : experts_ + experts_ * inputs_; }
  // x [R, numbers()] float64 of the fits `which` [R]. Computes in float32.
  BatchedLbfgs::Evaluation evaluate(const at::Tensor& x, const at::Tensor& which) const;
  // W [F, k, D], undefined if κ is 0, and b [F, k] of x, views.
  std::pair<at::Tensor, at::Tensor> weight_and_bias(const at::Tensor& x) const;

 private:
  const Opinions& opinions_;
  ShareLoss loss_;
  double penalty_;
  int64_t experts_, inputs_;
  at::Tensor texts_;  // [F, 1], n of each fit
  at::Tensor part_;   // [F, n]: 1/n of its fit, or 0
};

}  // namespace moecollab::training
