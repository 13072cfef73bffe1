/* Refuses a batch of one row. `predict` of a single text fails although every test with a file of
 * texts went well. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (batch != NULL && batch->rows == 1)
    return zoo_refuse(error, MOEC_UNSUPPORTED, "one row has no variance");
  return zoo_forward(expert, exec, batch, logits, error);
}
