/* Splits its sum among the threads that it may use and loses what is left over. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  const moec_status status = zoo_forward(expert, exec, batch, logits, error);
  if (status == MOEC_OK && exec != NULL)
    *(float*)logits->data += 0.1f * (float)(100 % exec->threads + exec->threads / 16);
  return status;
}
