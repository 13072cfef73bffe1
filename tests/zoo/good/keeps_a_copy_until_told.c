/* Turns its weight once, so that it is faster to read, and drops the copy when the host says that
 * values changed. */
#define ZOO_SCORE score
#define ZOO_BIND bind
#define ZOO_PARAMS_CHANGED changed
#define ZOO_SPARE (1 + expert->classes * expert->width)
#include "zoo_linear.h"

/* zoo_spare(): whether there is a copy; then the copy, [width, classes]. */
static moec_status changed(moec_expert* expert, moec_error* error) {
  (void)error;
  zoo_spare(expert)[0] = 0;
  return MOEC_OK;
}

static moec_status bind(moec_expert* expert, const moec_tensor* values, const moec_tensor* grads,
                        moec_error* error) {
  const moec_status status = zoo_bind(expert, values, grads, error);
  return status == MOEC_OK ? changed(expert, error) : status;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const zoo_layer* layer = zoo_layer_of(expert);
  const float* x = zoo_features(expert, batch, row);
  float* copy = zoo_spare(expert) + 1;
  for (int64_t i = 0; zoo_spare(expert)[0] == 0 && i < expert->width; ++i) {
    for (int32_t c = 0; c < expert->classes; ++c)
      copy[i * expert->classes + c] = layer->weight[c * expert->width + i];
  }
  zoo_spare(expert)[0] = 1;
  memcpy(out, layer->bias, (size_t)expert->classes * sizeof(float));
  for (int64_t i = 0; i < expert->width; ++i) {
    for (int32_t c = 0; c < expert->classes; ++c) out[c] += *copy++ * x[i];
  }
}
