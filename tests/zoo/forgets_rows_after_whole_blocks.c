/* Scores 32 rows at once, and those after the last whole block of a large batch by another formula.
 */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  if (batch->rows > 32 && row >= batch->rows / 32 * 32) out[0] *= 0.5f;
}
