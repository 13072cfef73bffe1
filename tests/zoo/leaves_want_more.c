/* Writes *want_more as long as it wants more, and takes it for 0 when it does not. The host finds
 * there what happened to be there, and trains on. */
#define ZOO_FIT_BEGIN begin
#define ZOO_EPOCH_END end_epoch
#define ZOO_SPARE 1 /* epochs that are over */
#include "zoo_means.h"

static moec_status begin(moec_expert* expert, const moec_exec* exec, int64_t rows,
                         int32_t max_epochs, uint64_t seed, moec_error* error) {
  const moec_status status = zoo_fit_begin(expert, exec, rows, max_epochs, seed, error);
  if (status == MOEC_OK) *zoo_spare(expert) = 0;
  return status;
}

static moec_status end_epoch(moec_expert* expert, const moec_exec* exec, int32_t* want_more,
                             moec_error* error) {
  int32_t ignored;
  const moec_status status = zoo_fit_epoch_end(expert, exec, &ignored, error);
  if (status == MOEC_OK && (*zoo_spare(expert) += 1) < 5) *want_more = 1;
  return status;
}
