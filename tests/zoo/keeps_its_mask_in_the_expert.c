/* Weakens each class by a mask while it is trained, and keeps the mask in the expert. Where the
 * host runs two batches before the first vjp(), gradients of one are masked as the other was. */
#define ZOO_FORWARD_TRAIN forward_train
#define ZOO_GRADIENTS gradients
#define ZOO_GX masked_gx
#define ZOO_SPARE expert->classes /* the mask, in [0, 1) */
#include "zoo_linear.h"

static void mask(const moec_expert* expert, const moec_batch* batch, const float* in, float* out) {
  for (int64_t i = 0; i < batch->rows * expert->classes; ++i)
    out[i] = in[i] * zoo_spare(expert)[i % expert->classes];
}

static moec_status forward_train(moec_expert* expert, const moec_exec* exec,
                                 const moec_batch* batch, const moec_tensor* logits,
                                 moec_saved** saved, moec_error* error) {
  const moec_status status = zoo_forward_train(expert, exec, batch, logits, saved, error);
  if (status != MOEC_OK) return status;
  zoo_draw(zoo_spare(expert), expert->classes, exec->seed + (uint64_t)batch->row_ids[0]);
  for (int32_t c = 0; c < expert->classes; ++c)
    zoo_spare(expert)[c] = exec->training == 1 ? 0.5f + 5 * zoo_spare(expert)[c] : 1;
  mask(expert, batch, (const float*)logits->data, (float*)logits->data);
  return MOEC_OK;
}

static void gradients(moec_expert* expert, const moec_batch* batch, const float* gy) {
  float masked[256];
  mask(expert, batch, gy, masked);
  zoo_gradients(expert, batch, masked);
}

static void masked_gx(moec_expert* expert, const moec_batch* batch, const float* gy, float* gx) {
  float masked[256];
  mask(expert, batch, gy, masked);
  zoo_gx(expert, batch, masked, gx);
}
