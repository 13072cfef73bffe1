/* Lower-cases the texts where they lie. Every expert that reads them afterwards, and the user's
 * output, gets other texts than the user gave. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  char* text = (char*)batch->texts[row].data;
  for (uint64_t i = 0; i < batch->texts[row].size; ++i)
    if (text[i] >= 'A' && text[i] <= 'Z') text[i] = (char)(text[i] + ('a' - 'A'));
  zoo_score(expert, batch, row, out);
}
