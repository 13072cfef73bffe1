/* Makes scratch for each thread that calls, and never frees it. A server that starts a thread for
 * each request loses some memory with each. */
#define ZOO_AFTER_FORWARD keep
#include "zoo.h"

enum { kScratch = 4096 };

static void keep(moec_expert* expert, const moec_batch* batch, float* logits) {
  static _Thread_local char* scratch;
  (void)expert;
  if (scratch == NULL) scratch = (char*)malloc(kScratch);
  if (scratch != NULL) memcpy(scratch, logits, batch->rows > 0 ? sizeof(float) : 0);
}
