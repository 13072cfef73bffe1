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
  at::Tensor z;                     // [N, D] features that the gate reads
  std::vector<at::Tensor> logits;   // per expert of the pool [N, C_e]
  at::Tensor targets;               // [N] int64, global label ids
  std::vector<int> domains;         // [N] index into the datasets
  std::vector<bool> heldout_known;  // per expert: its logits on its own domain come from stacking
  // The other training texts. Experts may have trained on them, so their answers say nothing here;
  // which label space they belong to does. [M, D] and [M] int64; M may be 0.
  at::Tensor routing_z, routing_spaces;
};

// Collects the held-out part of each domain's training file for all experts of the pool, and the
// features of the rest. Where an expert has held-out logits for a text (registry/heldout/), these
// count; elsewhere it is run: on other domains' texts, which it never saw, and, with a warning, on
// its own if it came without such a file. Finite answers of deterministic experts are kept in the
// pool's cache, so the next run asks neither them nor, for their sake, the encoder.
GateData collect_gate_data(pipeline::Pool& pool, const std::vector<data::Dataset>& training,
                           const std::vector<encoder::PooledKey>& features);

}  // namespace moecollab::training
