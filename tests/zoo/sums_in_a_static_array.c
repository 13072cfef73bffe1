/* vjp() sums a batch in static memory before it adds the sum. Two experts that are trained on two
 * threads get each other's gradients. (The pause stands for a longer computation, so that it does
 * not take luck to see.) */
#define ZOO_GRADIENTS gradients
#include <unistd.h>

#include "zoo_linear.h"

static void gradients(moec_expert* expert, const moec_batch* batch, const float* gy) {
  static float sums[4096];
  const zoo_layer* layer = zoo_layer_of(expert);
  const int64_t bias = expert->classes * expert->width;
  memset(sums, 0, sizeof(sums));
  for (int64_t row = 0; row < batch->rows; ++row) {
    const float* x = zoo_features(expert, batch, row);
    for (int32_t c = 0; c < expert->classes; ++c, ++gy) {
      sums[(bias + c) % 4096] += *gy;
      for (int64_t i = 0; i < expert->width; ++i)
        sums[(c * expert->width + i) % 4096] += *gy * x[i];
    }
  }
  usleep(20);
  for (int64_t i = 0; i < bias; ++i) layer->weight_grad[i] += sums[i % 4096];
  for (int32_t c = 0; c < expert->classes; ++c) layer->bias_grad[c] += sums[(bias + c) % 4096];
}
