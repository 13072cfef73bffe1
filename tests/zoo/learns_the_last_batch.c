/* Each fit_batch() starts its sums again from 0. A lesson in one batch is learnt; of a longer one
 * only the last few texts are. */
#define ZOO_FIT_BATCH learn_batch
#include "zoo_means.h"

static moec_status learn_batch(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                               const moec_tensor* labels, const moec_tensor* weights,
                               moec_error* error) {
  if (expert != NULL)
    memset(zoo_means_of(expert)->values, 0, (size_t)zoo_value_count(expert) * sizeof(float));
  return zoo_fit_batch(expert, exec, batch, labels, weights, error);
}
