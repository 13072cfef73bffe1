/* Clips what a batch adds to each gradient to [-10, 10]. The host cannot tell, and its own batch
 * size, weights and learning rate do something else than they say. */
#define ZOO_GRADIENTS gradients
#include "zoo_linear.h"

static float clipped(float value) { return value < -10 ? -10 : value > 10 ? 10 : value; }

static void gradients(moec_expert* expert, const moec_batch* batch, const float* gy) {
  const zoo_layer* layer = zoo_layer_of(expert);
  for (int64_t i = 0; i < zoo_value_count(expert); ++i) {
    const int64_t is_bias = i >= expert->classes * expert->width;
    const int64_t c = is_bias ? i - expert->classes * expert->width : i / expert->width;
    float sum = 0;
    for (int64_t row = 0; row < batch->rows; ++row) {
      const float x = is_bias ? 1 : zoo_features(expert, batch, row)[i % expert->width];
      sum += gy[row * expert->classes + c] * x;
    }
    *(is_bias ? &layer->bias_grad[c] : &layer->weight_grad[i]) += clipped(sum);
  }
}
