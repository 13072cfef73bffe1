#include "training/epoch_judge.h"

#include <ATen/core/grad_mode.h>

#include <numeric>

#include "encoder/parallel.h"
#include "training/gate_fitting.h"

namespace moecollab::training {

EpochJudge::EpochJudge(const GateProblem& problem, const GateTrainingOptions& options,
                       std::span<const int64_t> rows)
    : problem_(problem),
      objective_(options.objective),
      prior_(prior_tensor(options, static_cast<int64_t>(problem.experts().size()))
                 .to(problem.device())),
      rows_(rows.begin(), rows.end()),
      index_(encoder::index_tensor(rows_, problem.device())),
      inputs_(problem.inputs().rows(index_)) {}

double EpochJudge::add(const gate::Gate& gate) {
  const at::NoGradGuard no_grad;
  const at::Tensor router = inputs_.router_logits(gate);
  if (router.is_cpu()) {
    judged_.push_back(judge_router(problem_, router, objective_, prior_, rows_));
    return judged_.back().total;
  }
  const gate::Objective terms =
      gate::objective(problem_.task_loss(router, index_), router, prior_, objective_);
  routers_.push_back(router.to(encoder::kHost));
  return terms.total.item<double>();
}

GateJudgement EpochJudge::judgement(size_t number) const {
  if (routers_.empty()) return judged_.at(number);
  return judge_on_host(problem_, rows_, {routers_.at(number)}, {objective_}, prior_).front();
}

std::vector<GateJudgement> EpochJudge::finish() const {
  if (routers_.empty()) return judged_;
  const std::vector<gate::ObjectiveOptions> objectives(routers_.size(), objective_);
  return judge_on_host(problem_, rows_, routers_, objectives, prior_);
}

}  // namespace moecollab::training
