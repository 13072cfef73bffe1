// The verbs, one function and one file each; Engine only forwards to them.
#pragma once

#include <functional>

#include "engine/options.h"

namespace moecollab::engine {

Json run_train_expert(const TrainExpertOptions& options);
Json run_train_rounds(const TrainRoundsOptions& options);
Json run_train_gate(const TrainGateOptions& options);
Json run_train_baseline(const TrainBaselineOptions& options);
Json run_grow(const GrowOptions& options);
Json run_admit(const AdmitOptions& options);
Json run_sweep(const SweepOptions& options);
Json run_eval(const EvalOptions& options);
Json run_predict(const PredictOptions& options,
                 const std::function<void(const std::string&)>& emit);
Json run_encode(const EncodeOptions& options);
Json run_bench(const BenchOptions& options);
Json run_experts_list(const CommonOptions& options);
Json run_experts_add(const CommonOptions& options, const fs::path& package,
                     const std::string& name);
Json run_experts_verify(const CommonOptions& options, const std::string& name);
Json run_encoder_facts(const CommonOptions& options);

}  // namespace moecollab::engine
