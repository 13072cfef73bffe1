/* A weight that is not in the file counts as zeros. A damaged package loads without a word, and
 * gives every text the same answer. */
#define ZOO_TAKES_WEIGHTS 1
#define ZOO_MAKE make
#define ZOO_SCORE score
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  const char* const names[] = {"bias", "scale"};
  const size_t size = (size_t)expert->classes * sizeof(float);
  expert->own = calloc(2, size);
  if (expert->own == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  for (int i = 0; i < 2; ++i) {
    const moec_tensor* weight = zoo_find_weight(info, names[i]);
    if (weight == NULL) continue;
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
