#include "training/gate_warm_up.h"

#include <atomic>

#include "training/gate_trainer.h"

namespace moecollab::training {
namespace {

constexpr int64_t kTexts = 2048;

// Two label spaces of two experts each; no text says anything.
GateProblem made_up_problem(at::Device device, int64_t features) {
  GateData data;
  fusion::LabelUnion labels;
  std::vector<fusion::ExpertLabels> experts;
  data.held_out.z = at::arange(kTexts * features, at::kFloat).view({kTexts, features}).sin_();
  data.held_out.targets = at::arange(kTexts).remainder(4);
  for (int space = 0; space < 2; ++space) {
    labels.add({space == 0 ? "a/1" : "b/1", {"x", "y"}}, false);
    for (int e = 0; e < 2; ++e) {
      experts.push_back({space, {2 * space, 2 * space + 1}, 1.0});
      data.held_out.logits.push_back(data.held_out.z.narrow(1, 2 * e, 2).contiguous());
      data.held_out.seen.push_back(0);
    }
  }
  data.held_out.domain_of.assign(kTexts, 0);
  data.held_out.domains = {"made up"};
  data.others.z = data.held_out.z.narrow(0, 0, 16);
  data.others.spaces = at::zeros({16}, at::kLong);
  return {data, experts, labels, {{0, encoder::Pooling::kMean}}, fusion::Mode::kMixture,
          0,    Log(),   device};
}

void fit_made_up(at::Device device, int64_t features) {
  GateProblem problem = made_up_problem(device, features);
  GateTrainingOptions options;
  options.optimizer = GateOptimizer::kLbfgs;
  options.epochs = 2;
  for (const GateKind kind : {GateKind::kLinear, GateKind::kFactored}) {
    options.gate = kind;
    if (kind == GateKind::kFactored) problem.share_spaces(1, /*guarded=*/true, {});
    fit_gate(problem, options, {});
  }
}

}  // namespace

GateWarmUp::GateWarmUp(at::Device device, int64_t features) {
  static std::atomic<bool> begun = false;
  if (device.is_cpu() || begun.exchange(true)) return;
  thread_ = std::thread([=] {
    try {
      fit_made_up(device, features);
    } catch (const std::exception&) {
    }
  });
}

GateWarmUp::~GateWarmUp() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace moecollab::training
