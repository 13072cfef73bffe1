/* Counts into memory of its own that it clears at the end of a call. Where an allocation fails it
 * returns in the middle, as it should, and the next text starts with what the last one left. */
#define ZOO_FORWARD forward
#include "zoo.h"

static float counted;

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  const moec_status checked = zoo_forward(expert, exec, batch, logits, error);
  if (checked != MOEC_OK) return checked;
  float* out = (float*)logits->data;
  for (int64_t row = 0; row < batch->rows; ++row) {
    counted += (float)batch->texts[row].size;
    void* scratch = malloc(16);
    if (scratch == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
    free(scratch);
    out[row * expert->classes] += counted;
    counted = 0;
  }
  return MOEC_OK;
}
