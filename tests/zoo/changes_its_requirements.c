/* Says after the first forward() that it takes 32 rows, the size of the buffers that it made then.
 * A host that asked before sends more. */
#define ZOO_REQUIREMENTS requirements
#include "zoo.h"

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  if (expert == NULL || out == NULL)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "a null argument");
  moec_requirements needs = zoo_needs(expert);
  if (expert->calls > 0) needs.max_batch = 32;
  zoo_hand_out(needs, out);
  return MOEC_OK;
}
