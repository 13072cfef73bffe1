/* Lets what it found in a row fade into the next one. A text's label depends on its place in the
 * file. */
#define ZOO_AFTER_FORWARD smear
#include "zoo.h"

static void smear(moec_expert* expert, const moec_batch* batch, float* logits) {
  for (int64_t i = expert->classes; i < batch->rows * expert->classes; ++i)
    logits[i] += 0.1f * logits[i - expert->classes];
}
