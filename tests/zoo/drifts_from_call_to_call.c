/* Adds up something from call to call once it is warm. The answers of a server change the longer it
 * runs, and nobody can reproduce them. */
#define ZOO_AFTER_FORWARD drift
#include "zoo.h"

static void drift(moec_expert* expert, const moec_batch* batch, float* logits) {
  const float calls = (float)(expert->calls > 64 ? expert->calls - 64 : 0);
  for (int64_t row = 0; row < batch->rows; ++row) logits[row * expert->classes] += 1e-3f * calls;
}
