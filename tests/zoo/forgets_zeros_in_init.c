/* init() writes the weight, and takes it for granted that the bias is 0 already. In storage that
 * the host used before, training begins with what is left there. */
#define ZOO_PARAM_INIT init
#include "zoo_linear.h"

static moec_status init(moec_expert* expert, uint64_t seed, moec_error* error) {
  if (expert == NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "the expert is null");
  zoo_draw(zoo_layer_of(expert)->weight, expert->classes * expert->width, seed);
  return MOEC_OK;
}
