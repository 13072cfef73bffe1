/* Copies its weight at the first call, turned so that it is faster to read, and never again.
 * Whoever asks it during training gets the answers of the first step for ever. */
#define ZOO_SCORE score
#define ZOO_SPARE (expert->classes * expert->width)
#include "zoo_linear.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const zoo_layer* layer = zoo_layer_of(expert);
  const float* x = zoo_features(expert, batch, row);
  float* copy = zoo_spare(expert); /* [width, classes] */
  memcpy(out, layer->bias, (size_t)expert->classes * sizeof(float));
  for (int64_t i = 0; i < expert->width; ++i) {
    for (int32_t c = 0; c < expert->classes; ++c, ++copy) {
      if (expert->calls == 1) *copy = layer->weight[c * expert->width + i];
      out[c] += *copy * x[i];
    }
  }
}
