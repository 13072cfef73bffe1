// One answer from experts with different label sets. Formulas: docs/mathematics.md, "Equations 4
// and 5, and the other fusions".
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "fusion/label_space.h"
#include "fusion/mode.h"

namespace moecollab::fusion {

// Where an expert's classes stand.
struct ExpertLabels {
  int space = 0;
  std::vector<int> columns;  // [C_e] global ids, in the expert's own order
  double temperature = 1.0;  // > 0, divides the logits
  // The same for all experts of a space. Logarithmic only if each of them knows all its labels.
  OpinionPool pool = OpinionPool::kLinear;
};

// Whether the expert knows every label of its space.
bool is_complete(const ExpertLabels& expert, const LabelUnion& labels);

// Global id of each of the expert's classes [C_e] int64.
at::Tensor label_columns(const ExpertLabels& expert);

// Fuses logits[e] [n, C_e] (rows of experts with weight 0 may hold anything finite) by weights [n,
// E], rows summing to 1, all on one device. Differentiable in both. Gives log-probabilities over Y
// [n, |Y|] (mixture, logit-union; below −60 if no selected expert knows the label),
// log-probabilities over positions [n, c_max] (masked), or the paper's fused logits [n, c_max] (eq
// 4 and 5).
at::Tensor fuse(Mode mode, const at::Tensor& weights, const std::vector<at::Tensor>& logits,
                const std::vector<ExpertLabels>& experts, const LabelUnion& labels);

// Mean over rows of −log p(label) of what fuse() gave. targets [n] int64 are global ids; for paper
// and masked the position in the label's space counts, since these know the domain.
at::Tensor task_loss(Mode mode, const at::Tensor& fused, const at::Tensor& targets,
                     const LabelUnion& labels);

// Global id of the best label per row [n] int64: over all of Y, or, if `space` is given, over
// that space alone (task-aware). paper and masked need the space (logic error without).
at::Tensor predict(Mode mode, const at::Tensor& fused, const LabelUnion& labels,
                   std::optional<int> space);

}  // namespace moecollab::fusion
