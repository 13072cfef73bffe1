// `--top-k auto`: how many experts a text needs.
#pragma once

#include <vector>

#include "training/gate_problem.h"

namespace moecollab::training {

// Accuracy that fewer experts may lose against all: a tenth of a point.
inline constexpr double kTopKTolerance = 0.001;

struct TopKChoice {
  int64_t top_k = 0;             // 1 to E
  int64_t texts = 0;             // that were judged
  std::vector<double> accuracy;  // [E] with the k greatest shares, k = 1 … E

  // What gate.toml holds: 0, all, if it takes every expert.
  int64_t stored_top_k() const {
    return top_k == static_cast<int64_t>(accuracy.size()) ? 0 : top_k;
  }
};

// The smallest k whose accuracy on the held-out texts is at most kTopKTolerance below that of all
// experts, for their router logits [N, E]. Answers are fused as the problem says, over the union of
// labels if its fusion has such an answer, else over the text's own space. caps [E] bound the
// weights as in gate::capped(); undefined: none.
TopKChoice choose_top_k(const GateProblem& problem, const at::Tensor& router_logits,
                        const at::Tensor& caps);

}  // namespace moecollab::training
