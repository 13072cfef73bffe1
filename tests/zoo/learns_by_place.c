/* Remembers in the first epoch which label each place has, and learns by that in all others. The
 * host sends the texts in another order each time, and they get each other's labels. */
#define ZOO_FIT_BEGIN begin
#define ZOO_EPOCH_END end_epoch
#define ZOO_LEARN learn
#define ZOO_SPARE (1 + kPlaces)
enum { kPlaces = 4096 };
#include "zoo_means.h"

/* zoo_spare(): the place of the next row; then each place's label + 1, 0 if it is not known. */
static moec_status begin(moec_expert* expert, const moec_exec* exec, int64_t rows,
                         int32_t max_epochs, uint64_t seed, moec_error* error) {
  const moec_status status = zoo_fit_begin(expert, exec, rows, max_epochs, seed, error);
  if (status == MOEC_OK) memset(zoo_spare(expert), 0, ZOO_SPARE * sizeof(float));
  return status;
}

static void learn(moec_expert* expert, const float* x, int32_t label, float weight) {
  float* place = zoo_spare(expert);
  float* known = place + 1 + (int)*place % kPlaces;
  if (*place == 0)
    memset(zoo_means_of(expert)->values, 0, (size_t)zoo_value_count(expert) * sizeof(float));
  if (*known == 0) *known = (float)(label + 1);
  zoo_learn(expert, x, (int32_t)*known - 1, weight);
  *place += 1;
}

static moec_status end_epoch(moec_expert* expert, const moec_exec* exec, int32_t* want_more,
                             moec_error* error) {
  const moec_status status = zoo_fit_epoch_end(expert, exec, want_more, error);
  if (status != MOEC_OK) return status;
  *zoo_spare(expert) = 0;
  *want_more = 1;
  return MOEC_OK;
}
