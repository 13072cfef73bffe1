/* Keeps the host of the first expert for all that come after it. When that host is gone, the others
 * ask freed memory whether they should stop. */
#define ZOO_MAKE make
#define ZOO_FORWARD forward
#include "zoo.h"

static const moec_host* the_host;

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)info;
  (void)error;
  if (the_host == NULL) the_host = expert->host;
  return MOEC_OK;
}

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (the_host != NULL && the_host->should_stop(the_host))
    return zoo_refuse(error, MOEC_CANCELLED, "cancelled by the host");
  return zoo_forward(expert, exec, batch, logits, error);
}
