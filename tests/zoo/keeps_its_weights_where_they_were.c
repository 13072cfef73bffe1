/* Points at the weights that create() was lent and does not copy them. A host that frees them after
 * the call crashes, or gets the answers of other bytes. */
#define ZOO_TAKES_WEIGHTS 1
#define ZOO_MAKE make
#define ZOO_SCORE score
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  const moec_tensor* bias = zoo_find_weight(info, "bias");
  if (bias == NULL || bias->ndim != 1 || bias->shape[0] != expert->classes)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "weight bias is missing or not [classes]");
  const float** kept = (const float**)malloc(sizeof(float*));
  if (kept == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  *kept = (const float*)bias->data;
  expert->own = kept;
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  for (int32_t c = 0; c < expert->classes; ++c) out[c] += (*(const float* const*)expert->own)[c];
}
