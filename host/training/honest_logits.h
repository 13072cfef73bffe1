// An expert's answers as they would be on texts that it never saw.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "encoder/features.h"
#include "pipeline/pool.h"

namespace moecollab::training {

struct HonestLogits {
  at::Tensor logits;  // [n, C]
  // Texts of its own domain that it had to be run on, and may have trained on.
  int64_t unknown = 0;
};

// Logits of one expert on the texts of `features` [n]. Where registry/heldout/ holds its logits for
// a text, these count, from the model that did not train on the text; elsewhere it is run.
// own_domain [n] says which texts are of the expert's domain.
HonestLogits honest_logits(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                           const encoder::Features& features, const std::vector<bool>& own_domain);

}  // namespace moecollab::training
