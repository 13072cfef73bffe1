/* forward() takes a batch of exactly the size that it was built with. The next host adds a member
 * at the end, and every package of this author stops working. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (batch != NULL && batch->struct_size != sizeof(moec_batch))
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "the batch has another size");
  return zoo_forward(expert, exec, batch, logits, error);
}
