#include "ablation/refit.h"

#include <algorithm>
#include <numeric>

#include "training/gate_prior.h"
#include "training/gate_trainer.h"

namespace moecollab::ablation {
namespace {

template <typename T>
void erase(std::vector<T>& values, size_t index) {
  if (!values.empty()) values.erase(values.begin() + static_cast<std::ptrdiff_t>(index));
}

// The prior becomes that of the others, as it would be made for them.
void leave_out(training::GateInputs& inputs, size_t expert) {
  erase(inputs.experts, expert);
  erase(inputs.labels, expert);
  erase(inputs.data.held_out.logits, expert);
  erase(inputs.data.held_out.seen, expert);
  std::vector<double>& prior = inputs.options.prior;
  if (inputs.options.prior_source == "data") {
    prior =
        training::make_prior("data", inputs.experts, inputs.labels, inputs.all_labels, inputs.data);
    return;
  }
  erase(prior, expert);
  const double sum = std::accumulate(prior.begin(), prior.end(), 0.0);
  for (double& share : prior) share /= sum;
}

}  // namespace

Way Refit::fit(const training::GateTrainingOptions& settings, const RunContext& context,
               const GateFeatures& features, std::optional<size_t> without) {
  training::GateInputs inputs = this->inputs(features);
  const std::vector<double> prior = inputs.options.prior;
  inputs.options = settings;
  inputs.options.prior = prior;
  std::vector<size_t> experts(inputs.experts.size());
  std::iota(experts.begin(), experts.end(), size_t{0});
  int64_t top_k = top_k_;
  if (without) {
    leave_out(inputs, *without);
    erase(experts, *without);
    const int64_t left = std::ssize(experts);
    top_k = std::min(top_k, left);
    inputs.options.top_k = std::min(inputs.options.top_k, left);
  }
  const training::GateProblem problem = inputs.problem(context);
  const training::GateFit fit = training::fit_gate(problem, inputs.options, context);
  return {experts, problem.experts(), fit.gate.router_logits(judge_.input(fit.gate.features)),
          settings.fusion, top_k};
}

void Refit::collect(const GateFeatures& features) { judge_.input(inputs(features).features); }

const training::GateInputs& Refit::inputs(const GateFeatures& features) {
  const auto known = collected_.find(features);
  if (known != collected_.end()) return known->second;
  return collected_
      .emplace(features, training::collect_gate_inputs(pool_, training_, settings_, features))
      .first->second;
}

}  // namespace moecollab::ablation
