/* forward() says that all is well when there is no batch, and writes nothing. The host takes what
 * lay in the output for the answer. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (batch == NULL) return MOEC_OK;
  return zoo_forward(expert, exec, batch, logits, error);
}
