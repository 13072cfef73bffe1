/* Computes in memory that each thread has of its own. */
#define ZOO_SCORE score
#include "zoo.h"

enum { kMost = 1024 };
static _Thread_local float scratch[kMost];

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const int32_t classes = expert->classes < kMost ? expert->classes : kMost;
  memset(out, 0, (size_t)expert->classes * sizeof(float));
  zoo_score_text(classes, batch->texts[row], scratch);
  memcpy(out, scratch, (size_t)classes * sizeof(float));
}
