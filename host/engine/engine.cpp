#include "engine/engine.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <moecollab/abi.h>
#include <torch/headeronly/version.h>

#include "base/compute.h"
#include "base/interrupt.h"
#include "base/version.h"
#include "engine/verbs.h"

namespace moecollab::engine {
namespace {

class TorchEngine final : public Engine {
 public:
  Json train_expert(const TrainExpertOptions& options) override {
    return run_train_expert(options);
  }
  Json train_rounds(const TrainRoundsOptions& options) override {
    return run_train_rounds(options);
  }
  Json train_gate(const TrainGateOptions& options) override { return run_train_gate(options); }
  Json train_baseline(const TrainBaselineOptions& options) override {
    return run_train_baseline(options);
  }
  Json grow(const GrowOptions& options) override { return run_grow(options); }
  Json admit(const AdmitOptions& options) override { return run_admit(options); }
  Json sweep(const SweepOptions& options) override { return run_sweep(options); }
  Json eval(const EvalOptions& options) override { return run_eval(options); }
  Json predict(const PredictOptions& options,
               const std::function<void(const std::string&)>& emit) override {
    return run_predict(options, emit);
  }
  Json encode(const EncodeOptions& options) override { return run_encode(options); }
  Json bench(const BenchOptions& options) override { return run_bench(options); }
  Json experts_list(const CommonOptions& options) override { return run_experts_list(options); }
  Json experts_add(const CommonOptions& options, const fs::path& package,
                   const std::string& name) override {
    return run_experts_add(options, package, name);
  }
  Json experts_verify(const CommonOptions& options, const std::string& name) override {
    return run_experts_verify(options, name);
  }
  Json facts(const CommonOptions& options) override {
    return {{"version", kVersion},
            {"libtorch", TORCH_VERSION},
            {"abi", fmt::format("{}.{}", MOEC_ABI_MAJOR, MOEC_ABI_MINOR)},
            {"cpu_capability", at::get_cpu_capability()},
            {"training_precision", name(resolve_training_precision("auto"))},
            {"threads", at::get_num_threads()},
            {"device", name(options.compute.device)}};
  }
  Json encoder_facts(const CommonOptions& options) override { return run_encoder_facts(options); }
  void set_console(const ConsoleSettings& settings) override { moecollab::set_console(settings); }
  void request_stop() override { stop_requested() = true; }
};

}  // namespace
}  // namespace moecollab::engine

moecollab::engine::Engine* moecollab_engine() {
  static moecollab::engine::TorchEngine engine;
  return &engine;
}
