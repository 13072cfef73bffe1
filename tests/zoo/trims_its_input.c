/* Cuts blanks and digits off the ends of texts by shortening them in the batch. The host's other
 * experts see texts without their ends. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  moec_string* text = (moec_string*)&batch->texts[row];
  while (text->size > 1 && text->data[text->size - 1] >= ' ' && text->data[text->size - 1] <= '9')
    --text->size;
  zoo_score(expert, batch, row, out);
}
