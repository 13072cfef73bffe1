/* Adds noise to its logits, and its manifest does not say so. The same text gets another label in
 * the next run, and no probe can vouch for the expert. */
#define ZOO_AFTER_FORWARD blur
#include "zoo.h"

static void blur(moec_expert* expert, const moec_batch* batch, float* logits) {
  static uint32_t state = 1;
  for (int64_t i = 0; i < batch->rows * expert->classes; ++i) {
    state = state * 1664525u + 1013904223u;
    logits[i] += 0.1f * (float)(state >> 8) / 16777216.0f;
  }
}
