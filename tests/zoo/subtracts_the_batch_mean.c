/* Subtracts the mean over the batch, as batch normalisation does while it trains. A text's label
 * depends on the texts that happen to be asked together with it. */
#define ZOO_AFTER_FORWARD centre
#include "zoo.h"

static void centre(moec_expert* expert, const moec_batch* batch, float* logits) {
  for (int32_t c = 0; c < expert->classes; ++c) {
    float sum = 0;
    for (int64_t row = 0; row < batch->rows; ++row) sum += logits[row * expert->classes + c];
    for (int64_t row = 0; row < batch->rows; ++row)
      logits[row * expert->classes + c] -= sum / (float)batch->rows;
  }
}
