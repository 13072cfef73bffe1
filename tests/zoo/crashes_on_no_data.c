/* Looks at the first byte of each text, which an empty one need not have. The host ends at the
 * first empty line. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  if (batch->texts[row].data[0] == '#') out[0] += 1;
}
