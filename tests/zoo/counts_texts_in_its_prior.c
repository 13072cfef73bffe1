/* Adds the logarithm of how many texts each label had, whatever they weigh. A label whose texts the
 * user gave no weight still wins where nothing speaks against it. */
#define ZOO_FIT_BEGIN begin
#define ZOO_LEARN learn
#define ZOO_SCORE score
#define ZOO_SPARE expert->classes
#include <math.h>

#include "zoo_means.h"

static moec_status begin(moec_expert* expert, const moec_exec* exec, int64_t rows,
                         int32_t max_epochs, uint64_t seed, moec_error* error) {
  const moec_status status = zoo_fit_begin(expert, exec, rows, max_epochs, seed, error);
  if (status == MOEC_OK) memset(zoo_spare(expert), 0, (size_t)expert->classes * sizeof(float));
  return status;
}

static void learn(moec_expert* expert, const float* x, int32_t label, float weight) {
  zoo_learn(expert, x, label, weight);
  zoo_spare(expert)[label] += 1;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score_means(expert, batch, row, out);
  for (int32_t c = 0; c < expert->classes; ++c) out[c] += logf(1 + zoo_spare(expert)[c]);
}
