/* Reads a text in words of four bytes from the next address that is aligned, and leaves out what
 * lies before. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  moec_string text = batch->texts[row];
  while (text.size > 40 && (uintptr_t)text.data % 4 != 0) {
    ++text.data;
    --text.size;
  }
  zoo_score_text(expert->classes, text, out);
}
