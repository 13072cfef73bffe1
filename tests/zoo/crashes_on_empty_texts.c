/* Divides whole numbers by the length of a text. An empty line in the user's file ends the host. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const moec_string text = batch->texts[row];
  uint64_t sum = 0;
  for (uint64_t i = 0; i < text.size; ++i) sum += (unsigned char)text.data[i];
  for (int32_t c = 0; c < expert->classes; ++c)
    out[c] = (float)((uint64_t)(c + 1) * sum / text.size);
}
