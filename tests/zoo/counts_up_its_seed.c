/* init() adds to the seed how often it was called. A second run with the same seed in one program
 * begins elsewhere, and its result cannot be had again. */
#define ZOO_PARAM_INIT init
#define ZOO_SPARE 1
#include "zoo_linear.h"

static moec_status init(moec_expert* expert, uint64_t seed, moec_error* error) {
  if (expert == NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "the expert is null");
  float* times = zoo_spare(expert);
  *times += 1;
  return zoo_param_init(expert, seed + (uint64_t)*times, error);
}
