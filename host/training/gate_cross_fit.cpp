#include "training/gate_cross_fit.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "base/error.h"
#include "training/gate_fitting.h"
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
        fmt::format(
            "{} held-out texts are too few to judge a gate by others that were fitted without "
            "them, as --top-k auto does: at least {} are needed",
            n, kFolds),
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

}  // namespace moecollab::training
