#include "experts/expert_setup.h"

#include <moecollab/abi.h>

namespace moecollab::experts {

ExpertFacts facts_of(const ExpertSetup& setup) {
  ExpertFacts facts;
  facts.name = setup.name;
  facts.classes = setup.classes;
  facts.probabilities = setup.probabilities;
  facts.layers = setup.layers;
  facts.request.tokens = (setup.inputs & MOEC_INPUT_TOKENS) != 0;
  for (const int32_t layer : setup.layers) {
    if (setup.inputs & MOEC_INPUT_HIDDEN) facts.request.hidden.insert(layer);
    if (setup.inputs & MOEC_INPUT_POOLED)
      facts.request.pooled.insert({layer, setup.pooling.value()});
  }
  return facts;
}

}  // namespace moecollab::experts
