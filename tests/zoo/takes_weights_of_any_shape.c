/* Copies as many weights as it has classes, however many there are. Weights of another expert give
 * numbers from memory after them, or end the host. */
#define ZOO_TAKES_WEIGHTS 1
#define ZOO_MAKE make
#define ZOO_SCORE score
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  const moec_tensor* bias = zoo_find_weight(info, "bias");
  if (bias == NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "weight bias is missing");
  expert->own = malloc((size_t)expert->classes * sizeof(float));
  if (expert->own == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  memcpy(expert->own, bias->data, (size_t)expert->classes * sizeof(float));
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  for (int32_t c = 0; c < expert->classes; ++c) out[c] += ((const float*)expert->own)[c];
}
