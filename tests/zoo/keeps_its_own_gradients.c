/* vjp() adds to gradients of its own instead of the bound ones. The host's optimiser sees zeros:
 * training runs to its end without a message, and has changed nothing. */
#define ZOO_GRADIENTS gradients
#include "zoo_linear.h"

static void gradients(moec_expert* expert, const moec_batch* batch, const float* gy) {
  (void)expert;
  static float sum[64];
  for (int64_t row = 0; row < batch->rows; ++row) sum[row % 64] += gy[row];
}
