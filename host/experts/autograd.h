// The bridge from LibTorch's autograd to an expert behind the C ABI.
#pragma once

#include <ATen/ATen.h>

#include "experts/expert.h"

namespace moecollab::experts {

// expert.forward_train() as a node of the graph: backward() of what is computed from the result
// adds to the gradients of the expert's bound parameters by its vjp. Logits [n, C]. A second
// derivative (create_graph) is refused with E_CONFIG: the ABI has first derivatives only, and
// passing over that would give wrong numbers without a word.
// `seed`: of the call's dropout and the like.
at::Tensor differentiable_forward(Expert& expert, encoder::Features rows, uint64_t seed = 0);

}  // namespace moecollab::experts
