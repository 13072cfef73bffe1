/* forward() stops in the middle when it is asked to, and says that all is well. The host takes what
 * was in the memory before for answers. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  const char* fault = zoo_call_fault(expert, batch, logits);
  if (fault != NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  (void)exec;
  for (int64_t row = 0; row < batch->rows; ++row) {
    if (expert->host != NULL && expert->host->should_stop(expert->host)) return MOEC_OK;
    zoo_score(expert, batch, row, (float*)logits->data + row * expert->classes);
  }
  return MOEC_OK;
}
