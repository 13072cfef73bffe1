/* Clears the sums of an epoch when it ends, and only then. Where the user broke off a training, the
 * next one begins with what the broken one had gathered. */
#define ZOO_LEARN learn
#define ZOO_EPOCH_END end_epoch
#define ZOO_SPARE zoo_value_count(expert)
#include "zoo_means.h"

static void learn(moec_expert* expert, const float* x, int32_t label, float weight) {
  float* sums = zoo_spare(expert);
  sums[expert->classes * expert->width + label] += weight;
  for (int64_t i = 0; i < expert->width; ++i) sums[label * expert->width + i] += weight * x[i];
}

static moec_status end_epoch(moec_expert* expert, const moec_exec* exec, int32_t* want_more,
                             moec_error* error) {
  const moec_status status = zoo_fit_epoch_end(expert, exec, want_more, error);
  if (status != MOEC_OK) return status;
  const size_t size = (size_t)zoo_value_count(expert) * sizeof(float);
  memcpy(zoo_means_of(expert)->values, zoo_spare(expert), size);
  memset(zoo_spare(expert), 0, size);
  return MOEC_OK;
}
