/* forward() reads the batch before it looks whether there is one. A mistake of the host's ends it
 * instead of giving a message. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (batch->rows < 1) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "the batch has no rows");
  return zoo_forward(expert, exec, batch, logits, error);
}
