/* Prepares something for the thread that calls create(), and refuses to work on others. The host's
 * workers make experts on one thread and use them on another. */
#define ZOO_MAKE make
#define ZOO_FORWARD forward
#include "zoo.h"

static _Thread_local int prepared;

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  prepared = 1;
  return MOEC_OK;
}

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  if (!prepared) return zoo_refuse(error, MOEC_INTERNAL, "this thread was not prepared");
  return zoo_forward(expert, exec, batch, logits, error);
}
