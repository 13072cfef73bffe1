/* Says -1 where it does not know its cost. The host that plans by costs takes the expert for one
 * that gives time back, and chooses it for everything. */
#define ZOO_REQUIREMENTS requirements
#include "zoo.h"

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  if (expert == NULL || out == NULL) return zoo_requirements(expert, out, error);
  moec_requirements needs = zoo_needs(expert);
  needs.flops_per_token = -1;
  zoo_hand_out(needs, out);
  return MOEC_OK;
}
