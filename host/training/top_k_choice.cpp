#include "training/top_k_choice.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "base/error.h"
#include "training/gate_fitting.h"
#include "training/gate_judge.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

constexpr int64_t kFolds = 5;
constexpr int64_t kFoldStream = -3;  // an epoch number that no shuffle of these texts has

at::Tensor router_logits_of_fold(const GateProblem& problem, const GateTrainingOptions& options,
                                 int32_t epochs, std::vector<int64_t> fitted,
                                 const at::Tensor& judged, StopToken stop) {
  GateFitting fitting(problem, options, std::move(fitted), stop);
  for (int32_t epoch = 0; epoch < epochs && !fitting.converged(); ++epoch) fitting.epoch();
  const at::NoGradGuard no_grad;
  return problem.inputs().rows(judged).router_logits(fitting.gate());
}

}  // namespace

at::Tensor cross_fitted_router_logits(const GateProblem& problem,
                                      const GateTrainingOptions& options, int32_t epochs,
                                      const RunContext& context) {
  const int64_t n = problem.texts();
  if (n < kFolds) {
    throw Error(
        "E_DATA",
        fmt::format("{} held-out texts are too few for --top-k auto: at least {} are needed", n,
                    kFolds),
        "give more training texts, or a number with --top-k");
  }
  at::Tensor router =
      at::empty({n, static_cast<int64_t>(problem.experts().size())}, problem.z().options());
  Progress progress = context.progress("cross-fitting the gate", "fold", kFolds);
  for (const Fold& fold : five_folds(n, options.seed, kFoldStream)) {
    const at::Tensor rows = encoder::index_tensor(fold.inside, problem.device());
    router.index_copy_(
        0, rows, router_logits_of_fold(problem, options, epochs, fold.outside, rows, context.stop));
    progress.advance(1);
  }
  return router;
}

TopKChoice choose_top_k(const GateProblem& problem, const at::Tensor& router_logits,
                        const at::Tensor& caps) {
  const at::NoGradGuard no_grad;
  const at::Tensor rows = at::arange(problem.texts(), problem.targets().options());
  const int64_t experts = router_logits.size(1);
  TopKChoice choice{experts, problem.texts(), {}};
  std::vector<int64_t> right;
  for (int64_t k = 1; k <= experts; ++k) {
    at::Tensor weights = gate::routing_weights(router_logits, k);
    if (caps.defined()) weights = gate::capped(weights, caps.to(weights.device()));
    right.push_back(right_answers(problem, weights, rows).sum().item<int64_t>());
    choice.accuracy.push_back(static_cast<double>(right.back()) /
                              static_cast<double>(choice.texts));
  }
  // In counts, which are exact: a loss of just the tolerance is within it.
  const double may_lose = kTopKTolerance * static_cast<double>(choice.texts) * (1 + 1e-12);
  for (int64_t k = experts; k >= 1; --k) {
    if (static_cast<double>(right.back() - right[static_cast<size_t>(k - 1)]) <= may_lose)
      choice.top_k = k;
  }
  return choice;
}

}  // namespace moecollab::training
