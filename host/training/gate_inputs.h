// What every fit of the gate reads, collected once from the pool and the training files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "pipeline/pool.h"
#include "training/calibration.h"
#include "training/gate_data.h"
#include "training/gate_problem.h"
#include "training/gate_training_options.h"

namespace moecollab::training {

struct GateInputs {
  GateTrainingOptions options;               // with the prior that was asked for
  std::vector<encoder::PooledKey> features;  // what the gate reads
  GateData data;
  std::vector<std::string> experts;          // [E] names
  std::vector<fusion::ExpertLabels> labels;  // [E] at the temperatures that the gate is fitted for
  fusion::LabelUnion all_labels;
  std::vector<Calibration> calibration;  // [E]; empty unless the options ask for it

  // The names of the training files' domains, in their order.
  const std::vector<std::string>& domains() const { return data.held_out.domains; }
  // For a gate in two factors the shares of each space are fitted.
  GateProblem problem(const RunContext& context, at::Device device = encoder::kHost) const;
};

// Collects features and the experts' answers, calibrates and makes the prior as the options say.
// Throws E_CONFIG for options out of range or that do not fit encoder and experts, E_REG_EMPTY
// without an expert, E_ENCODER without an encoder, and as collect_gate_data().
// `features`: what the gate reads instead of what the options say.
GateInputs collect_gate_inputs(
    pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
    const GateTrainingOptions& options,
    const std::optional<std::vector<encoder::PooledKey>>& features = std::nullopt);

}  // namespace moecollab::training
