#include "experts/expert.h"

#include "base/probability.h"

namespace moecollab::experts {

at::Tensor Expert::to_logits(const at::Tensor& output) const {
  return facts().probabilities ? output.clamp_min(kLeastProbability).log() : output;
}

void Expert::round_to_bfloat16() {
  for (const Parameter& p : parameters()) p.value.copy_(p.value.to(at::kBFloat16));
  params_changed();
}

}  // namespace moecollab::experts
