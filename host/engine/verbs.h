// The verbs, one function and one file each; Engine only forwards to them.
#pragma once

#include <functional>

#include "base/run_context.h"
#include "contribution/gate_fit.h"
#include "contribution/install_options.h"
#include "engine/answering_options.h"
#include "engine/engine.h"
#include "engine/options.h"

namespace moecollab::engine {

Json run_train_expert(const TrainExpertOptions& options, const RunContext& context);
Json run_train_rounds(const TrainRoundsOptions& options, const RunContext& context);
Json run_train_gate(const TrainGateOptions& options, const RunContext& context);
// What it prints of the fit itself.
Json summary(const contribution::FittedGate& fitted);
Json run_train_baseline(const TrainBaselineOptions& options, const RunContext& context);
Json run_grow(const GrowOptions& options, const RunContext& context);
Json run_admit(const AdmitOptions& options, const RunContext& context);
Json run_sweep(const SweepOptions& options, const RunContext& context);
Json run_ablate(const AblateOptions& options, const RunContext& context);
Json run_scale(const ScaleOptions& options, const RunContext& context);
Json run_eval(const EvalOptions& options, const RunContext& context);
Json run_predict(const PredictOptions& options, const RunContext& context,
                 const std::function<void(const std::string&)>& emit);
Json run_encode(const EncodeOptions& options, const RunContext& context);
Json run_bench(const BenchOptions& options, const RunContext& context);
Json run_experts_list(const CommonOptions& options, const RunContext& context);
Json run_experts_add(const CommonOptions& options, const contribution::InstallOptions& install,
                     const contribution::ConformanceCheck& conformance, const RunContext& context);
Json run_experts_verify(const CommonOptions& options, const RunContext& context,
                        const std::string& name);
Json run_experts_claims(const EvalOptions& options, const RunContext& context,
                        const std::string& name);
Json run_registry_check(const CommonOptions& options, const RunContext& context);
Json run_facts(const RunOptions& options);
Json run_cuda_facts();
Json run_encoder_facts(const WhereOptions& options);

}  // namespace moecollab::engine
