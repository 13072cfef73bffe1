/* Takes the logarithm of a count that is 0 for texts without a comma. Minus infinity rules the
 * class out whatever all other experts say, and a mixture of it is NaN. */
#define ZOO_SCORE score
#include <math.h>

#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const moec_string text = batch->texts[row];
  zoo_score(expert, batch, row, out);
  if (text.size == 0 || memchr(text.data, ',', text.size) == NULL) out[0] = -INFINITY;
}
