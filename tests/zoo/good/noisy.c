/* Adds noise that is another in every call; its manifest says output.deterministic = false. */
#define ZOO_AFTER_FORWARD blur
#include "zoo.h"

static void blur(moec_expert* expert, const moec_batch* batch, float* logits) {
  uint64_t state = (uint64_t)expert->calls * 0x9E3779B97F4A7C15u + 1;
  for (int64_t i = 0; i < batch->rows * expert->classes; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    logits[i] += 0.01f * (float)(state >> 40) / 16777216.0f;
  }
}
