/* Keeps its contexts on a stack: release_saved() drops the newest, whichever it is given. Where the
 * host releases them in another order, a context is gone that is still needed. */
#define ZOO_FORWARD_TRAIN forward_train
#define ZOO_RELEASE_SAVED release_saved
#include "zoo_linear.h"

enum { kDepth = 64 };
static moec_saved stack[kDepth];
static int depth;

static moec_status forward_train(moec_expert* expert, const moec_exec* exec,
                                 const moec_batch* batch, const moec_tensor* logits,
                                 moec_saved** saved, moec_error* error) {
  const moec_status status = zoo_forward(expert, exec, batch, logits, error);
  if (status != MOEC_OK) return status;
  if (depth == kDepth) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "too many contexts");
  *saved = &stack[depth++];
  (*saved)->batch = batch;
  return MOEC_OK;
}

static void release_saved(moec_expert* expert, moec_saved* saved) {
  (void)expert;
  if (saved != NULL) stack[--depth].batch = NULL;
}
