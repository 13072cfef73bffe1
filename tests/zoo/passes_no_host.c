/* Calls the host's log() with NULL in place of the host. A host that finds its log by it dies of
 * the first message. */
#define ZOO_AFTER_FORWARD report
#include "zoo.h"

static void report(moec_expert* expert, const moec_batch* batch, float* logits) {
  const moec_string message = ZOO_STRING("scored a batch");
  (void)batch;
  (void)logits;
  if (expert->host != NULL) expert->host->log(NULL, 0, message);
}
