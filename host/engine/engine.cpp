#include "engine/engine.h"

#include <malloc.h>

#include <limits>

#include "base/cuda_driver.h"
#include "encoder/device.h"
#include "engine/device_errors.h"
#include "engine/verbs.h"

namespace moecollab::engine {
namespace {

// Training makes and frees tensors of the same sizes in every step. By default malloc maps each
// large one and unmaps it again, and the kernel clears all its pages again.
void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

class TorchEngine final : public Engine {
 public:
  TorchEngine() { keep_freed_memory(); }
  BestDevice best_device() override {
    const encoder::CudaState& state = encoder::cuda_state();
    if (state.devices == 0) return {{}, state.failure};
    const Device first{DeviceType::kCuda, 0};
    try {
      encoder::require_device({.device = first});
    } catch (const Error& error) {
      return {{}, error.what()};
    }
    return {first, cuda_driver().devices.front().name};
  }
  Json train_expert(const TrainExpertOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_train_expert(options, context); });
  }
  Json train_rounds(const TrainRoundsOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_train_rounds(options, context); });
  }
  Json train_gate(const TrainGateOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_train_gate(options, context); });
  }
  Json train_baseline(const TrainBaselineOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_train_baseline(options, context); });
  }
  Json grow(const GrowOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_grow(options, context); });
  }
  Json admit(const AdmitOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_admit(options, context); });
  }
  Json sweep(const SweepOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_sweep(options, context); });
  }
  Json ablate(const AblateOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_ablate(options, context); });
  }
  Json scale(const ScaleOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_scale(options, context); });
  }
  Json eval(const EvalOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_eval(options, context); });
  }
  Json predict(const PredictOptions& options, const RunContext& context,
               const std::function<void(const std::string&)>& emit) override {
    return naming_device(options, [&] { return run_predict(options, context, emit); });
  }
  Json encode(const EncodeOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_encode(options, context); });
  }
  Json bench(const BenchOptions& options, const RunContext& context) override {
    return naming_device(options, [&] { return run_bench(options, context); });
  }
  Json experts_list(const CommonOptions& options, const RunContext& context) override {
    return run_experts_list(options, context);
  }
  Json experts_add(const CommonOptions& options, const contribution::InstallOptions& install,
                   const contribution::ConformanceCheck& conformance,
                   const RunContext& context) override {
    return run_experts_add(options, install, conformance, context);
  }
  Json experts_verify(const CommonOptions& options, const RunContext& context,
                      const std::string& name) override {
    return run_experts_verify(options, context, name);
  }
  Json experts_claims(const EvalOptions& options, const RunContext& context,
                      const std::string& name) override {
    return run_experts_claims(options, context, name);
  }
  Json registry_check(const CommonOptions& options, const RunContext& context) override {
    return run_registry_check(options, context);
  }
  Json facts(const RunOptions& options) override { return run_facts(options); }
  Json cuda_facts() override { return run_cuda_facts(); }
  Json encoder_facts(const WhereOptions& options) override { return run_encoder_facts(options); }
};

}  // namespace
}  // namespace moecollab::engine

moecollab::engine::Engine* moecollab_engine() {
  static moecollab::engine::TorchEngine engine;
  return &engine;
}

moecollab::worker::EngineSide* moecollab_engine_side() { return &moecollab::worker::engine_side(); }
