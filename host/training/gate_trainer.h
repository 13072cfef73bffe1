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
  int32_t epochs = 200;   // at most; the best on a fifth of the texts counts, then all are fitted
  int32_t patience = 10;  // epochs without a lower loss on that fifth before it stops
  double lr = 3e-3;
  double weight_decay = 0.05;
  int64_t batch = 256;  // texts; also what ḡ of eq 3 is a mean over
  uint64_t seed = 1;
};

// Throws E_CONFIG for a value outside its range.
void validate(const GateTrainingOptions& options);

// Means over the last epoch (nats), for gate.toml and the report.
struct GateFit {
  gate::Gate gate;
  double task = 0, entropy = 0, balance = 0, total = 0;
  int64_t texts = 0;
  int32_t epochs = 0;          // chosen
  double validation_task = 0;  // L_task on the fifth that chose them
};

// AdamW on L = L_task + λ1·H + λ2·KL (π uniform over experts), from the uniform gate. L_task is the
// mean over all training texts of −log p(y|x) where the text is held out, and, under a
// task-agnostic fusion, of −log Σ g_e over the experts of the text's own label space where it is
// not. A fifth of the texts, chosen by the seed, decides on the number of epochs; the gate is then
// fitted on all of them. Throws E_TRAIN_DIVERGED if the loss stops being finite.
GateFit fit_gate(const GateData& data, const std::vector<fusion::ExpertLabels>& experts,
                 const fusion::LabelUnion& labels, const std::vector<encoder::PooledKey>& features,
                 const GateTrainingOptions& options);

}  // namespace moecollab::training
