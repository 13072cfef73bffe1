/* The gradient of the weight is half of what it should be: a factor was lost. Training works, only
 * worse than it could, which nobody ever finds. */
#define ZOO_GRADIENTS gradients
#include "zoo_linear.h"

static void gradients(moec_expert* expert, const moec_batch* batch, const float* gy) {
  zoo_layer* layer = zoo_layer_of(expert);
  const int64_t count = expert->classes * expert->width;
  float* before = (float*)malloc((size_t)count * sizeof(float));
  if (before == NULL) return;
  memcpy(before, layer->weight_grad, (size_t)count * sizeof(float));
  zoo_gradients(expert, batch, gy);
  for (int64_t i = 0; i < count; ++i)
    layer->weight_grad[i] = 0.5f * (layer->weight_grad[i] + before[i]);
  free(before);
}
