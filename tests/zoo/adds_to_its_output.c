/* Adds its logits to what lies in the output, as if that were 0. In the author's test it is; in a
 * host it holds what was there before. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  for (int32_t c = 0; c < expert->classes; ++c) {
    const float before = out[c];
    zoo_score_text(1, batch->texts[row], &out[c]);
    out[c] = out[c] * (float)(c + 1) + before;
  }
}
