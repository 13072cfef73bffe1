/* Counts classes from 1 in one place, and so clears the element before the output. The host's
 * memory there is damaged: it dies later, somewhere else. */
#define ZOO_AFTER_FORWARD write_before
#include "zoo.h"

static void write_before(moec_expert* expert, const moec_batch* batch, float* logits) {
  (void)expert;
  (void)batch;
  float* first = logits - 1;
  *first = 0;
}
