/* Copies the text before it reads it, and where malloc() fails, scores nothing and says MOEC_OK:
 * zeros that look like an answer. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const moec_string text = batch->texts[row];
  char* copy = (char*)malloc(text.size + 1);
  for (int32_t c = 0; c < expert->classes; ++c) out[c] = 0;
  if (copy == NULL) return;
  memcpy(copy, text.data == NULL ? "" : text.data, text.size);
  const moec_string own = {copy, text.size};
  zoo_score_text(expert->classes, own, out);
  free(copy);
}
