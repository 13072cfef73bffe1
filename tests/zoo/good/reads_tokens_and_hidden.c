/* Reads tokens and their states, and pools them itself: the mean over a row's even token ids. */
#define ZOO_INPUTS (MOEC_INPUT_TOKENS | MOEC_INPUT_HIDDEN)
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const int32_t* ids = (const int32_t*)batch->token_ids->data;
  const float* states = (const float*)batch->hidden[0]->data;
  for (int32_t c = 0; c < expert->classes; ++c) {
    int count = 0;
    out[c] = 0;
    for (int64_t t = batch->row_offsets[row]; t < batch->row_offsets[row + 1]; ++t) {
      if (ids[t] % 2 != 0) continue;
      ++count;
      out[c] += states[t * expert->width + c % expert->width];
    }
    if (count > 0) out[c] /= (float)count;
  }
}
