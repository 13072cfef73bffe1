/* fit_end() doubles the sums. The expert that the host measured after the last epoch, and chose, is
 * not the one that it saves. */
#define ZOO_FIT_END end
#include "zoo_means.h"

static moec_status end(moec_expert* expert, moec_error* error) {
  if (expert == NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "the expert is null");
  for (int64_t i = 0; i < zoo_means_of(expert)->size[0]; ++i) zoo_means_of(expert)->values[i] *= 2;
  return MOEC_OK;
}
