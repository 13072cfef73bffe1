/* forward() forgets a buffer of 1 KB. A server runs out of memory by serving. */
#define ZOO_AFTER_FORWARD leak
#include "zoo.h"

static void leak(moec_expert* expert, const moec_batch* batch, float* logits) {
  static void* volatile forgotten; /* volatile: else the compiler drops the allocation */
  (void)expert;
  (void)batch;
  (void)logits;
  forgotten = malloc(1024);
  if (forgotten != NULL) memset(forgotten, 0, 1024);
}
