/* Draws from a seed that is the address of the object. One object repeats itself, but two of the
 * same package disagree: the answer changes with every start of the host. */
#define ZOO_AFTER_FORWARD blur
#include "zoo.h"

static void blur(moec_expert* expert, const moec_batch* batch, float* logits) {
  uint64_t seed = (uint64_t)(uintptr_t)expert * 0x9E3779B97F4A7C15u;
  for (int64_t row = 0; row < batch->rows; ++row)
    logits[row * expert->classes] += (float)(seed >> 40) / 16777216.0f;
}
