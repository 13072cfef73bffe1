/* Works on rows in pairs, and begins the second of a pair that is not there where their number is
 * odd. The host's memory after the output is damaged: it dies later, somewhere else. */
#define ZOO_AFTER_FORWARD write_past
#include "zoo.h"

static void write_past(moec_expert* expert, const moec_batch* batch, float* logits) {
  if (batch->rows % 2 == 1) logits[batch->rows * expert->classes] = 0;
}
