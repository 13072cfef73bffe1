/* Notes what it does, says how far it is, asks whether to stop, and asks for extensions that few
 * hosts have. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  const moec_host* host = expert->host;
  const moec_string note = ZOO_STRING(
      "a batch came: une donn\xC3\xA9"
      "e");
  const char* fault = zoo_call_fault(expert, batch, logits);
  (void)exec;
  if (fault != NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  host->log(host, 0, note);
  (void)host->get_extension(host, "com.example.unheard-of/1");
  for (int64_t row = 0; row < batch->rows; ++row) {
    host->progress(host, row, batch->rows);
    if (host->should_stop(host)) return zoo_refuse(error, MOEC_CANCELLED, "stopped by the host");
    zoo_score(expert, batch, row, (float*)logits->data + row * expert->classes);
  }
  host->progress(host, batch->rows, batch->rows);
  return MOEC_OK;
}
