/* forward() sees that it should stop, and tidies up for 3 s first. Ctrl-C seems to do nothing, and
 * the user kills the host. */
#define ZOO_FORWARD forward
#include <unistd.h>

#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (expert != NULL && expert->host != NULL && expert->host->should_stop(expert->host)) {
    usleep(3 * 1000 * 1000);
    return zoo_refuse(error, MOEC_CANCELLED, "cancelled by the host");
  }
  return zoo_forward(expert, exec, batch, logits, error);
}
