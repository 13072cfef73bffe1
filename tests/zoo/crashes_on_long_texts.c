/* Copies a text into 16 KB of stack. A longer one ends the host, or runs what its author wants. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  char copy[1 << 14];
  const moec_string text = batch->texts[row];
  if (text.size > 0) memcpy(copy, text.data, text.size);
  const moec_string copied = {copy, text.size};
  zoo_score_text(expert->classes, copied, out);
}
