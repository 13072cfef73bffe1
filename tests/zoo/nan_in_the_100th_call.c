/* Divides by the calls that remain of a hundred. Every test is green, and after an hour a server
 * answers NaN. */
#define ZOO_AFTER_FORWARD wear_out
#include "zoo.h"

static void wear_out(moec_expert* expert, const moec_batch* batch, float* logits) {
  const float left = expert->calls < 100 ? 1 : 0;
  for (int64_t i = 0; i < batch->rows * expert->classes; ++i) logits[i] *= left / left;
}
