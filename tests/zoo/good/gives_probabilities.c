/* Gives probabilities, as its manifest says: numbers above 0, divided by their sum. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  float sum = 0;
  zoo_score(expert, batch, row, out);
  for (int32_t c = 0; c < expert->classes; ++c) out[c] += 0.1f; /* so that none is 0 */
  for (int32_t c = 0; c < expert->classes; ++c) sum += out[c];
  for (int32_t c = 0; c < expert->classes; ++c) out[c] /= sum;
}
