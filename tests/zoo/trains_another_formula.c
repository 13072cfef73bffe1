/* Is trained at half the logits that it answers with: as sure as it learnt to be, and twice. */
#define ZOO_FORWARD_TRAIN forward_train
#define ZOO_GRADIENTS gradients
#define ZOO_GX halved_gx
#include "zoo_linear.h"

static moec_status forward_train(moec_expert* expert, const moec_exec* exec,
                                 const moec_batch* batch, const moec_tensor* logits,
                                 moec_saved** saved, moec_error* error) {
  const moec_status status = zoo_forward_train(expert, exec, batch, logits, saved, error);
  for (int64_t i = 0; status == MOEC_OK && i < batch->rows * expert->classes; ++i)
    ((float*)logits->data)[i] *= 0.5f;
  return status;
}

static void halve(const moec_expert* expert, const moec_batch* batch, const float* gy,
                  float* half) {
  for (int64_t i = 0; i < batch->rows * expert->classes; ++i) half[i] = 0.5f * gy[i];
}

static void gradients(moec_expert* expert, const moec_batch* batch, const float* gy) {
  float half[256];
  halve(expert, batch, gy, half);
  zoo_gradients(expert, batch, half);
}

static void halved_gx(moec_expert* expert, const moec_batch* batch, const float* gy, float* out) {
  float half[256];
  halve(expert, batch, gy, half);
  zoo_gx(expert, batch, half, out);
}
