// What a gate is worth on some held-out texts, and how it uses the experts there.
#pragma once

#include <span>
#include <vector>

#include "evaluation/gate_usage.h"
#include "gate/objective.h"
#include "training/gate_problem.h"

namespace moecollab::training {

// Formulas: docs/mathematics.md. NaN if a figure is not defined: for a domain without a text, and
// task-agnostic figures under paper and masked.
struct GateJudgement {
  double task = 0, entropy = 0, balance = 0, total = 0;  // terms of the objective, nats
  double accuracy = 0, accuracy_task_aware = 0;
  std::vector<double> domain_accuracy, domain_accuracy_task_aware;  // by index of the dataset
  std::vector<double> load;                                         // [E]
  double n_eff = 0, n_eff_target = 0, n_eff_experts = 0;
  evaluation::Utilisation utilisation = {0, 0};
};

// Judges on these rows of the held-out texts (at least one), learning nothing. prior [E].
GateJudgement judge(const GateProblem& problem, const gate::Gate& gate,
                    const gate::ObjectiveOptions& objective, const at::Tensor& prior,
                    std::span<const int64_t> rows);

// The same for a gate that gave these router logits [rows, E], on the problem's device as the
// prior.
GateJudgement judge_router(const GateProblem& problem, const at::Tensor& router,
                           const gate::ObjectiveOptions& objective, const at::Tensor& prior,
                           std::span<const int64_t> rows);

// The same for gates that gave these router logits [rows, E] in the host's memory, each with its
// own objective: side by side on the host's threads, wherever the problem lies.
std::vector<GateJudgement> judge_on_host(const GateProblem& problem, std::span<const int64_t> rows,
                                         const std::vector<at::Tensor>& routers,
                                         const std::vector<gate::ObjectiveOptions>& objectives,
                                         const at::Tensor& prior);

// Whether the rows [n] int64 of the held-out texts are answered with their own labels [n] bool, if
// the experts have these weights [n, E]: over the union of labels if the fusion has such an answer,
// else over the text's own space.
at::Tensor right_answers(const GateProblem& problem, const at::Tensor& weights,
                         const at::Tensor& rows);

}  // namespace moecollab::training
