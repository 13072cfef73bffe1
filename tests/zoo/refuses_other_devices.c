/* Refuses a call that allows it a GPU, because it has no code for one. The CPU would do, but the
 * user of a machine with a GPU cannot use the expert at all. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (exec != NULL && exec->device_type != MOEC_CPU)
    return zoo_refuse(error, MOEC_UNSUPPORTED, "this expert runs on the CPU only");
  return zoo_forward(expert, exec, batch, logits, error);
}
