/* Adds noise that exec.seed decides, though nobody is training. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  const moec_status status = zoo_forward(expert, exec, batch, logits, error);
  if (status == MOEC_OK && exec != NULL) *(float*)logits->data += (float)(exec->seed % 97) * 0.01f;
  return status;
}
