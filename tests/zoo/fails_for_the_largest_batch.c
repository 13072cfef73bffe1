/* Refuses a batch of exactly the rows that it says it takes (64). The host fills batches up, so
 * that every long file fails. */
#define ZOO_MAX_BATCH 64
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (batch != NULL && batch->rows >= ZOO_MAX_BATCH)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "the batch is too large");
  return zoo_forward(expert, exec, batch, logits, error);
}
