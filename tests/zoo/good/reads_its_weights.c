/* Reads a weight of the package, and refuses one of another shape. */
#define ZOO_TAKES_WEIGHTS 1
#define ZOO_MAKE make
#define ZOO_SCORE score
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  const moec_tensor* bias = zoo_find_weight(info, "bias");
  if (bias == NULL || bias->ndim != 1 || bias->shape[0] != expert->classes)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "weight bias is missing or not [classes]");
  expert->own = malloc((size_t)expert->classes * sizeof(float));
  if (expert->own == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  memcpy(expert->own, bias->data, (size_t)expert->classes * sizeof(float));
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  for (int32_t c = 0; c < expert->classes; ++c) out[c] += ((const float*)expert->own)[c];
}
