/* Writes gradients instead of adding them. Of several batches per step the last one counts alone,
 * and an expert that is used twice in a step learns from one use. */
#define ZOO_GRADIENTS gradients
#include "zoo_linear.h"

static void gradients(moec_expert* expert, const moec_batch* batch, const float* gy) {
  zoo_layer* layer = zoo_layer_of(expert);
  memset(layer->weight_grad, 0, (size_t)(expert->classes * expert->width) * sizeof(float));
  memset(layer->bias_grad, 0, (size_t)expert->classes * sizeof(float));
  zoo_gradients(expert, batch, gy);
}
