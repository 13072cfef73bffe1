/* The gradient of the features has the wrong sign, the parameters' are right. The head learns while
 * the encoder beneath it is driven away from what it needs. */
#define ZOO_GX write_gx
#include "zoo_linear.h"

static void write_gx(moec_expert* expert, const moec_batch* batch, const float* gy, float* gx) {
  zoo_gx(expert, batch, gy, gx);
  for (int64_t i = 0; i < batch->rows * expert->width; ++i) gx[i] = -gx[i];
}
