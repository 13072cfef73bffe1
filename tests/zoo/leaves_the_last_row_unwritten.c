/* Stops one row early where there are several. The last text of every batch gets whatever lay in
 * the output before. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  (void)exec;
  const char* fault = zoo_call_fault(expert, batch, logits);
  if (fault != NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  const int64_t rows = batch->rows > 1 ? batch->rows - 1 : 1;
  for (int64_t row = 0; row < rows; ++row)
    zoo_score(expert, batch, row, (float*)logits->data + row * expert->classes);
  return MOEC_OK;
}
