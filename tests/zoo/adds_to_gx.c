/* vjp() adds the gradient of its features to what lies there, as it rightly does for parameters.
 * What trains beneath it moves by that as well. */
#define ZOO_GX write_gx
#include "zoo_linear.h"

static void write_gx(moec_expert* expert, const moec_batch* batch, const float* gy, float* gx) {
  const size_t count = (size_t)(batch->rows * expert->width);
  float* before = (float*)malloc(count * sizeof(float));
  if (before == NULL) return;
  memcpy(before, gx, count * sizeof(float));
  zoo_gx(expert, batch, gy, gx);
  for (size_t i = 0; i < count; ++i) gx[i] += before[i];
  free(before);
}
