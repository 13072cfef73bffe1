/* create() rounds the totals of weights that it is made from, as if they were counts of texts. The
 * expert that was tested after training is not the one that the package makes. */
#define ZOO_MAKE make
#include "zoo_means.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  const moec_status status = zoo_make_means(expert, info, error);
  if (status != MOEC_OK) return status;
  float* totals = zoo_means_of(expert)->tensor[1];
  for (int32_t c = 0; c < expert->classes; ++c) totals[c] = (float)(int)(totals[c] + 0.5f);
  return MOEC_OK;
}
