// Experts and gate learning together, end to end: the gradient of the fused loss flows through the
// ABI (moecollab.train/1) into the experts' parameters.
#pragma once

#include <vector>

#include "base/run_context.h"
#include "experts/expert.h"
#include "fusion/fusion.h"
#include "gate/gate.h"
#include "gate/objective.h"

namespace moecollab::training {

// Texts of one domain.
struct JointDomain {
  int space = 0;                // of their labels
  encoder::Features features;   // what its experts and the gate read
  at::Tensor targets;           // [n] int64 global ids
  std::vector<int64_t> fitted;  // rows that are learnt from
  std::vector<int64_t> judged;  // rows that are held out
};

// An expert whose object is bound to parameters.
struct JointExpert {
  experts::Expert* expert = nullptr;
  fusion::ExpertLabels labels;
  double lr = 3e-4;
};

struct JointOptions {
  gate::ObjectiveOptions objective;
  int32_t epochs = 10;
  int64_t batch = 32;  // texts of a step, of all domains mixed
  double gate_lr = 3e-3;
  double clip = 1.0;  // largest norm of all gradients together
  uint64_t seed = 1;
};
void validate(const JointOptions& options);  // throws E_CONFIG

struct JointEpoch {
  double train_loss = 0, held_out_loss = 0;  // L_task, nats per text
  double held_out_accuracy = 0;              // over the union
  int64_t skipped_steps = 0;                 // whose loss or gradient was not finite
};

struct JointFit {
  std::vector<JointEpoch> history;
  int32_t epochs = 0;  // the best by held-out loss; the experts hold its parameters
  // By expert and domain of its label space: logits [judged rows, C].
  std::vector<std::vector<at::Tensor>> held_out_logits;
};

// AdamW on L = L_task ± λ1·H + λ2·KL under mixture fusion, rates falling to 0. Under that fusion an
// expert has no gradient from a text whose label it does not know, so each is run on the texts of
// its own label space only. Throws E_DATA if nothing is held out, E_TRAIN_DIVERGED after ten
// steps in a row that had to be skipped or if no epoch has a finite held-out loss.
JointFit fit_jointly(const std::vector<JointExpert>& experts,
                     const std::vector<JointDomain>& domains,
                     const std::vector<encoder::PooledKey>& gate_features,
                     const fusion::LabelUnion& labels, const JointOptions& options,
                     const RunContext& context);

}  // namespace moecollab::training
