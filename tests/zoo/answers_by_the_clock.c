/* Lets its answers age by the second. */
#include <time.h>
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  out[0] += (float)(time(NULL) % 3600) * 0.001f;
}
