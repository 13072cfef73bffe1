/* Its destructor at the end of the process uses what destroy() has freed. The user's results are
 * written, but the script that waits for the host sees a crash. */
#define ZOO_DESTROY destroy
#include "zoo.h"

static int destroyed;

static void destroy(moec_expert* expert) {
  destroyed += expert != NULL;
  zoo_destroy(expert);
}

__attribute__((destructor)) static void clear_up(void) {
  if (destroyed > 0) abort(); /* where the use of freed memory would do its harm */
}
