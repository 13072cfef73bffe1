/* Says that it reads the first token's state, though expert.toml says the mean. A host that goes by
 * requirements() gives it features that it was not trained on. */
#define ZOO_REQUIREMENTS requirements
#include "zoo_linear.h"

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  if (expert == NULL || out == NULL) return zoo_requirements(expert, out, error);
  moec_requirements needs = zoo_needs(expert);
  needs.pooling = MOEC_POOLING_CLS;
  zoo_hand_out(needs, out);
  return MOEC_OK;
}
