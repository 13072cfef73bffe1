/* vjp() frees what forward_train() saved, and release_saved() has nothing left to do. A host that
 * only looks at the logits of its passes runs out of memory. */
#define ZOO_FORWARD_TRAIN forward_train
#define ZOO_VJP vjp
#define ZOO_RELEASE_SAVED release_saved
#include "zoo_linear.h"

static moec_status forward_train(moec_expert* expert, const moec_exec* exec,
                                 const moec_batch* batch, const moec_tensor* logits,
                                 moec_saved** saved, moec_error* error) {
  if (saved == NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "no place for the context");
  const moec_status status = zoo_forward(expert, exec, batch, logits, error);
  if (status != MOEC_OK) return status;
  *saved = (moec_saved*)calloc((size_t)batch->rows + 1, 256); /* with room for more */
  if (*saved == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  (*saved)->batch = batch;
  return MOEC_OK;
}

static moec_status vjp(moec_expert* expert, const moec_exec* exec, moec_saved* saved,
                       const moec_tensor* gy, uint64_t gx_count, const moec_tensor* const* gx,
                       moec_error* error) {
  const moec_status status = zoo_vjp(expert, exec, saved, gy, gx_count, gx, error);
  free(saved);
  return status;
}

static void release_saved(moec_expert* expert, moec_saved* saved) {
  (void)expert;
  (void)saved;
}
