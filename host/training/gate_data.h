// What the gate learns from: held-out training texts, their features and every expert's logits.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "data/dataset.h"
#include "encoder/features.h"
#include "pipeline/pool.h"

namespace moecollab::training {

struct GateData {
  at::Tensor z;                      // [N, H] features that the gate reads
  std::vector<at::Tensor> logits;    // per expert of the pool [N, C_e]
  at::Tensor targets;                // [N] int64, global label ids
  std::vector<int> domains;          // [N] index into the datasets
  std::vector<bool> heldout_known;   // per expert: its logits on its own domain come from stacking
};

// Collects the held-out part of each domain's training file for all experts of the pool. Where an expert
// has held-out logits for a text (registry/heldout/), these count; elsewhere it is run: on other domains'
// texts, which it never saw, and, with a warning, on its own if it came without such a file.
GateData collect_gate_data(pipeline::Pool& pool, const std::vector<data::Dataset>& training,
                           const encoder::PooledKey& feature);

}  // namespace moecollab::training
