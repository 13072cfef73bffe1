#include "training/gate_judge.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

#include "encoder/parallel.h"

namespace moecollab::training {
namespace {

// Row i in [0, n) is of domain of[i]; domains numbered again without those that have no text.
struct Domains {
  std::vector<int> of;
  std::vector<int> dense;  // [n]
  int count = 0;           // of domains in all
  int present = 0;
};

Domains domains_of(const GateProblem& problem, std::span<const int64_t> rows) {
  Domains domains;
  domains.count = problem.domain_count();
  std::map<int, int> number;
  for (const int64_t row : rows) domains.of.push_back(problem.domains()[static_cast<size_t>(row)]);
  for (const int domain : domains.of) number.emplace(domain, 0);
  for (auto& [domain, index] : number) index = domains.present++;
  for (const int domain : domains.of) domains.dense.push_back(number.at(domain));
  return domains;
}

// Mean of correct [n] overall (first) and by domain.
std::pair<double, std::vector<double>> accuracies(const at::Tensor& correct,
                                                  const Domains& domains) {
  const std::vector<double> hit = encoder::to_doubles(correct);
  std::vector<double> sum(static_cast<size_t>(domains.count), 0.0), n = sum;
  double all = 0;
  for (size_t i = 0; i < hit.size(); ++i) {
    sum[static_cast<size_t>(domains.of[i])] += hit[i];
    n[static_cast<size_t>(domains.of[i])] += 1;
    all += hit[i];
  }
  for (size_t d = 0; d < sum.size(); ++d) sum[d] /= n[d];  // 0/0 is NaN: not defined
  return {all / static_cast<double>(hit.size()), sum};
}

// Whether the best label of the text's own space is the text's [n].
at::Tensor correct_in_own_space(const GateProblem& problem, const at::Tensor& fused,
                                const at::Tensor& targets) {
  at::Tensor correct = at::zeros_like(targets, at::kBool);
  const auto spaces = static_cast<int>(problem.labels().spaces().size());
  for (int space = 0; space < spaces; ++space) {
    const fusion::LabelUnion::Range range = problem.labels().range(space);
    const at::Tensor own =
        targets.ge(range.offset).logical_and(targets.lt(range.offset + range.count));
    const at::Tensor rows = own.nonzero().flatten();
    if (rows.numel() == 0) continue;
    const at::Tensor answers =
        fusion::predict(problem.fusion(), fused.index_select(0, rows), problem.labels(), space);
    correct.index_copy_(0, rows, answers.eq(targets.index_select(0, rows)));
  }
  return correct;
}

// Whether the best of all labels is the text's [n].
at::Tensor correct_in_union(const GateProblem& problem, const at::Tensor& fused,
                            const at::Tensor& targets) {
  return fusion::predict(problem.fusion(), fused, problem.labels(), std::nullopt).eq(targets);
}

void judge_answers(const GateProblem& problem, const at::Tensor& fused, const at::Tensor& targets,
                   const Domains& domains, GateJudgement& into) {
  std::tie(into.accuracy_task_aware, into.domain_accuracy_task_aware) =
      accuracies(correct_in_own_space(problem, fused, targets), domains);
  if (fusion::is_task_agnostic(problem.fusion())) {
    std::tie(into.accuracy, into.domain_accuracy) =
        accuracies(correct_in_union(problem, fused, targets), domains);
    return;
  }
  into.accuracy = std::numeric_limits<double>::quiet_NaN();
  into.domain_accuracy.assign(static_cast<size_t>(domains.count), into.accuracy);
}

// Load, effective numbers and utilisation, as the report of `eval` defines them.
void judge_usage(const GateProblem& problem, const at::Tensor& weights, const at::Tensor& targets,
                 const Domains& domains, GateJudgement& into) {
  const auto spaces = static_cast<int>(problem.labels().spaces().size());
  const auto experts = static_cast<int>(problem.experts().size());
  std::vector<int> space_of_expert;
  std::vector<double> texts_of_space(static_cast<size_t>(spaces), 0.0),
      experts_of_space(texts_of_space), mass_of_space(texts_of_space), ideal;
  for (const fusion::ExpertLabels& expert : problem.experts()) {
    space_of_expert.push_back(expert.space);
    experts_of_space[static_cast<size_t>(expert.space)] += 1;
  }
  const at::Tensor on_host = targets.to(encoder::kHost);
  const int64_t* target = on_host.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < targets.numel(); ++i)
    texts_of_space[static_cast<size_t>(problem.labels().space_of(static_cast<int>(target[i])))] +=
        1;

  const std::vector<double> gate = encoder::to_doubles(weights);
  const std::vector<double> mean = evaluation::mean_gate(gate, experts);
  for (size_t e = 0; e < mean.size(); ++e) {
    const auto space = static_cast<size_t>(space_of_expert[e]);
    mass_of_space[space] += mean[e];
    ideal.push_back(texts_of_space[space] / experts_of_space[space]);
  }
  into.load = evaluation::load(mean, ideal);
  into.n_eff = evaluation::n_eff(mass_of_space);
  into.n_eff_target = evaluation::n_eff_target(texts_of_space);
  into.n_eff_experts = evaluation::n_eff(mean);
  into.utilisation =
      evaluation::utilisation(gate, space_of_expert, spaces, domains.dense, domains.present);
}

}  // namespace

GateJudgement judge_router(const GateProblem& problem, const at::Tensor& router,
                           const gate::ObjectiveOptions& objective, const at::Tensor& prior,
                           std::span<const int64_t> rows) {
  const at::NoGradGuard no_grad;
  const at::Tensor index = encoder::index_tensor(rows, problem.device());
  const at::Tensor targets = problem.targets().index_select(0, index);
  const gate::Objective terms =
      gate::objective(problem.task_loss(router, index), router, prior, objective);
  GateJudgement result;
  result.task = terms.task.item<double>();
  result.entropy = terms.entropy.item<double>();
  result.balance = terms.balance.item<double>();
  result.total = terms.total.item<double>();
  const Domains domains = domains_of(problem, rows);
  const at::Tensor weights = gate::routing_weights(router, problem.top_k());
  judge_answers(problem, problem.fused(weights, index), targets, domains, result);
  judge_usage(problem, weights, targets, domains, result);
  return result;
}

GateJudgement judge(const GateProblem& problem, const gate::Gate& gate,
                    const gate::ObjectiveOptions& objective, const at::Tensor& prior,
                    std::span<const int64_t> rows) {
  const at::NoGradGuard no_grad;
  const at::Tensor index = encoder::index_tensor(rows, problem.device());
  const at::Tensor router = gate.forward(problem.z().index_select(0, index));
  return judge_router(problem, router, objective, prior.to(problem.device()), rows);
}

std::vector<GateJudgement> judge_on_host(const GateProblem& problem, std::span<const int64_t> rows,
                                         const std::vector<at::Tensor>& routers,
                                         const std::vector<gate::ObjectiveOptions>& objectives,
                                         const at::Tensor& prior) {
  const GateProblem part = problem.answers_of(rows);
  std::vector<int64_t> all(rows.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  const at::Tensor on_host = prior.to(encoder::kHost);
  std::vector<GateJudgement> judged(routers.size());
  encoder::for_each_in_parallel(std::ssize(routers), [&](int64_t i) {
    const auto g = static_cast<size_t>(i);
    judged[g] = judge_router(part, routers[g], objectives[g], on_host, all);
  });
  return judged;
}

at::Tensor right_answers(const GateProblem& problem, const at::Tensor& weights,
                         const at::Tensor& rows) {
  const at::NoGradGuard no_grad;
  const at::Tensor fused = problem.fused(weights, rows);
  const at::Tensor targets = problem.targets().index_select(0, rows);
  return fusion::is_task_agnostic(problem.fusion()) ? correct_in_union(problem, fused, targets)
                                                    : correct_in_own_space(problem, fused, targets);
}

}  // namespace moecollab::training
