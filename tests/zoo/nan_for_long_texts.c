/* Weighs a text by the root of 1 - length / 100, which is NaN for more than 100 bytes. Long texts
 * get no answer, and the mixture with other experts is NaN as well. */
#define ZOO_SCORE score
#include <math.h>

#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  const uint64_t size = batch->texts[row].size;
  for (int32_t c = 0; c < expert->classes; ++c) out[c] *= size > 100 ? NAN : 1;
}
