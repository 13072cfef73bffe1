// Fitting the gate: equation (3) over frozen experts.
#pragma once

#include "fusion/fusion.h"
#include "gate/gate.h"
#include "gate/objective.h"
#include "training/gate_data.h"

namespace moecollab::training {

struct GateTrainingOptions {
  gate::ObjectiveOptions objective;
  fusion::Mode fusion = fusion::Mode::kMixture;
  int64_t top_k = 0;      // 0: dense
  int32_t epochs = 40;
  double lr = 3e-3;
  double weight_decay = 0.05;
  int64_t batch = 256;    // texts; also what ḡ of eq 3 is a mean over
  uint64_t seed = 1;
};

// Throws E_CONFIG for a value outside its range.
void validate(const GateTrainingOptions& options);

// Means over the last epoch (nats), for gate.toml and the report.
struct GateFit {
  gate::Gate gate;
  double task = 0, entropy = 0, balance = 0, total = 0;
  int64_t texts = 0;
};

// AdamW on L = L_task + λ1·H + λ2·KL (π uniform over experts), from the uniform gate. Throws
// E_TRAIN_DIVERGED if the loss stops being finite.
GateFit fit_gate(const GateData& data, const std::vector<fusion::ExpertLabels>& experts, const fusion::LabelUnion& labels,
                 const encoder::PooledKey& feature, const GateTrainingOptions& options);

}  // namespace moecollab::training
