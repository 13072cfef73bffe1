/* Weakens each class by a mask while it is trained; each saved context has a mask of its own, which
 * exec's seed and the row's name decide. */
#define ZOO_FORWARD_TRAIN forward_train
#define ZOO_VJP vjp
#include "zoo_linear.h"

typedef struct masked {
  struct moec_saved inner;
  uint64_t seed;
  uint32_t training;
} masked;

static float factor(const masked* saved, const moec_batch* batch, int64_t row, int32_t c) {
  float draw;
  if (saved->training == 0) return 1;
  zoo_draw(&draw, 1, saved->seed + (uint64_t)batch->row_ids[row] * 31 + (uint64_t)c);
  return draw < 0 ? 0.5f : 1.5f;
}

static moec_status forward_train(moec_expert* expert, const moec_exec* exec,
                                 const moec_batch* batch, const moec_tensor* logits,
                                 moec_saved** saved, moec_error* error) {
  if (saved == NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "no place for the context");
  const moec_status status = zoo_forward(expert, exec, batch, logits, error);
  if (status != MOEC_OK) return status;
  masked* made = (masked*)malloc(sizeof(masked));
  if (made == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  made->inner.batch = batch;
  made->seed = exec->seed;
  made->training = exec->training;
  float* out = (float*)logits->data;
  for (int64_t row = 0; row < batch->rows; ++row) {
    for (int32_t c = 0; c < expert->classes; ++c) *out++ *= factor(made, batch, row, c);
  }
  *saved = &made->inner;
  return MOEC_OK;
}

static moec_status vjp(moec_expert* expert, const moec_exec* exec, moec_saved* saved,
                       const moec_tensor* gy, uint64_t gx_count, const moec_tensor* const* gx,
                       moec_error* error) {
  const moec_batch* batch = saved->batch;
  const size_t count = (size_t)(batch->rows * expert->classes);
  float* weakened = (float*)malloc(count * sizeof(float));
  if (weakened == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  for (size_t i = 0; i < count; ++i)
    weakened[i] = ((const float*)gy->data)[i] * factor((const masked*)saved, batch,
                                                       (int64_t)i / expert->classes,
                                                       (int32_t)((int64_t)i % expert->classes));
  moec_tensor inner = *gy;
  inner.data = weakened;
  const moec_status status = zoo_vjp(expert, exec, saved, &inner, gx_count, gx, error);
  free(weakened);
  return status;
}
