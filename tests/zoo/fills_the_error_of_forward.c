/* forward() leaves a remark in the error, and succeeds. A host that asks the error and not the
 * status throws the answer away. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  const moec_status status = zoo_forward(expert, exec, batch, logits, error);
  if (status == MOEC_OK) zoo_refuse(error, MOEC_OK, "some texts are short: results may be poor");
  return status;
}
