// What a fit of the gate takes on a device beside one on the CPU, stage by stage: bench_gate
// [DEVICE [TEXTS]]. Made-up features and answers: 15 experts, three for each of five label spaces
// of six labels, 1,152 features. Seconds of the first fit of the process and of the second, and how
// many of LibTorch's operators it called, those within operators and views among them: on a device
// a fit's time goes by their number.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "base/measure.h"
#include "bench.h"
#include "encoder/device.h"
#include "training/gate_trainer.h"

namespace moecollab::training {
namespace {

constexpr int kSpaces = 5, kExpertsOfSpace = 3, kLabels = 6;
constexpr int64_t kFeatures = 1152;

struct World {
  GateData data;
  std::vector<fusion::ExpertLabels> experts;
  fusion::LabelUnion labels;
};

// Texts of a space lie around its centre; an expert is right on most texts of its own space.
World make_world(int64_t texts) {
  at::manual_seed(1);
  World world;
  const at::Tensor space = at::arange(texts).remainder(kSpaces),
                   label = at::randint(kLabels, {texts});
  world.data.held_out.z =
      at::randn({kSpaces, kFeatures}).index_select(0, space) * 0.2 + at::randn({texts, kFeatures});
  world.data.held_out.targets = space * kLabels + label;
  for (int s = 0; s < kSpaces; ++s) {
    std::vector<std::string> names;
    for (int l = 0; l < kLabels; ++l) names.push_back(fmt::format("l{}", l));
    world.labels.add({fmt::format("s{}/1", s), names}, false);
    world.data.held_out.domains.push_back(fmt::format("d{}", s));
    for (int e = 0; e < kExpertsOfSpace; ++e) {
      fusion::ExpertLabels expert{s, {}, 1.0};
      for (int l = 0; l < kLabels; ++l) expert.columns.push_back(s * kLabels + l);
      world.experts.push_back(expert);
      const at::Tensor own = at::one_hot(label, kLabels) * (s + 1);
      world.data.held_out.logits.push_back(own + at::randn({texts, kLabels}) * (1 + e));
      world.data.held_out.seen.push_back(0);
    }
  }
  for (int64_t i = 0; i < texts; ++i)
    world.data.held_out.domain_of.push_back(static_cast<int>(i % kSpaces));
  world.data.others.z = at::zeros({0, kFeatures});
  world.data.others.spaces = at::zeros({0}, at::kLong);
  return world;
}

std::atomic<int64_t> operators = 0;

void count_operators() {
  at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction&)
                                                       -> std::unique_ptr<at::ObserverContext> {
                          ++operators;
                          return nullptr;
                        }).scopes({at::RecordScope::FUNCTION}));
}

struct Stages {
  double problem = 0, shares = 0, fit = 0, steps = 0;
  size_t count = 0;
  int64_t calls = 0;
  double total() const { return problem + shares + fit; }
};

Stages fit(const World& world, at::Device device, GateKind kind) {
  Stages stages;
  operators = 0;
  Stopwatch watch;
  GateProblem problem(world.data, world.experts, world.labels, {{6, encoder::Pooling::kMean}},
                      fusion::Mode::kMixture, /*top_k=*/0, Log(), device);
  problem.z().select(0, 0).sum().item<float>();
  stages.problem = watch.seconds();
  GateTrainingOptions options;
  options.optimizer = GateOptimizer::kLbfgs;
  options.gate = kind;
  watch = Stopwatch();
  if (kind == GateKind::kFactored) problem.share_spaces(1, /*guarded=*/true, {});
  stages.shares = watch.seconds();
  watch = Stopwatch();
  const GateFit fitted = fit_gate(problem, options, {});
  stages.fit = watch.seconds();
  stages.count = fitted.history.size();
  for (const GateEpoch& epoch : fitted.history) stages.steps += epoch.seconds;
  stages.calls = operators;
  return stages;
}

void show(const std::string& what, const Stages& s) {
  fmt::print(
      "{:<26} {:6.3f} s: problem {:.3f}, shares {:.3f}, fit {:.3f} ({} steps, {:.3f}), {} "
      "operators\n",
      what, s.total(), s.problem, s.shares, s.fit, s.count, s.steps, s.calls);
}

void run(const std::string& device_name, int64_t texts) {
  Compute compute;
  compute.device = parse_device(device_name);
  encoder::use_device(compute);  // before all else: LibTorch keeps what it first finds of a GPU
  const World world = make_world(texts);
  count_operators();
  const at::Device device = encoder::to_torch(compute.device);
  for (const GateKind kind : {GateKind::kLinear, GateKind::kFactored}) {
    const Stages host = fit(world, encoder::kHost, kind), cold = fit(world, device, kind),
                 warm = fit(world, device, kind);
    show(fmt::format("{} cpu", name(kind)), host);
    show(fmt::format("{} {} first", name(kind), device_name), cold);
    show(fmt::format("{} {} second", name(kind), device_name), warm);
    fmt::print("{} of the CPU's time: {:.2f}\n", device_name, cold.total() / host.total());
  }
}

}  // namespace
}  // namespace moecollab::training

int main(int argc, char** argv) {
  moecollab::wait_as_the_program(argv);
  moecollab::training::run(argc > 1 ? argv[1] : "cpu", argc > 2 ? std::atoll(argv[2]) : 30'000);
  return 0;
}
