/* forward() starts a process and does not wait for it. A copy of the host with all its threads'
 * locks held is dangerous, and what remains fills the process table. */
#define ZOO_AFTER_FORWARD start
#include <unistd.h>

#include "zoo.h"

static void start(moec_expert* expert, const moec_batch* batch, float* logits) {
  (void)batch;
  (void)logits;
  if (expert->calls == 1 && fork() == 0) _exit(0); /* once: the process table is finite */
}
