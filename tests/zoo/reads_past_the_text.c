/* Takes a text for a C string, which ends with a 0. It reads on into what lies after it: the next
 * row's text, or memory that is not there. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  moec_string text = batch->texts[row];
  if (text.size > 0) text.size = strlen(text.data);
  zoo_score_text(expert->classes, text, out);
}
