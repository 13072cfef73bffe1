/* Takes the first weight for the bias and the second one for the scale, as its own file has them. A
 * file that another program wrote has them the other way round, and nobody notices. */
#define ZOO_TAKES_WEIGHTS 1
#define ZOO_MAKE make
#define ZOO_SCORE score
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  const size_t size = (size_t)expert->classes * sizeof(float);
  if (info->weight_count != 2) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "not two weights");
  expert->own = malloc(2 * size);
  if (expert->own == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  for (int i = 0; i < 2; ++i) {
    const moec_tensor* weight = &info->weights[i];
    if (weight->ndim != 1 || weight->shape[0] != expert->classes)
      return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "a weight is not [classes]");
    memcpy((char*)expert->own + i * size, weight->data, size);
  }
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const float *bias = (const float*)expert->own, *scale = bias + expert->classes;
  zoo_score(expert, batch, row, out);
  for (int32_t c = 0; c < expert->classes; ++c) out[c] = scale[c] * out[c] + bias[c];
}
