/* Refuses a batch with a status of its own. The host cannot tell what it means, and takes it for a
 * defect. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (batch == NULL) return zoo_refuse(error, 42, "the batch is null");
  return zoo_forward(expert, exec, batch, logits, error);
}
