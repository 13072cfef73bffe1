/* The gradient of the bias has the first row of the batch only. Training with batches of one works,
 * with others the bias hardly learns. */
#define ZOO_GRADIENTS gradients
#include "zoo_linear.h"

static void gradients(moec_expert* expert, const moec_batch* batch, const float* gy) {
  zoo_layer* layer = zoo_layer_of(expert);
  zoo_gradients(expert, batch, gy);
  for (int64_t i = expert->classes; i < batch->rows * expert->classes; ++i)
    layer->bias_grad[i % expert->classes] -= gy[i];
}
