/* Logs at level 7, as syslog would for debugging. A host that looks up the name of a level in a
 * list of three reads beyond its end. */
#define ZOO_AFTER_FORWARD report
#include "zoo.h"

static void report(moec_expert* expert, const moec_batch* batch, float* logits) {
  const moec_string message = ZOO_STRING("scored a batch");
  (void)batch;
  (void)logits;
  if (expert->host != NULL) expert->host->log(expert->host, 7, message);
}
