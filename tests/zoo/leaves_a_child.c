/* destroy() leaves the clearing up to a process that lives on. It outlives the host, and keeps what
 * it inherited from it. */
#define ZOO_DESTROY destroy
#include <unistd.h>

#include "zoo.h"

static void destroy(moec_expert* expert) {
  static int cleared;
  if (expert != NULL && !cleared++ && fork() == 0) {
    for (int file = 0; file < 1024; ++file) close(file); /* so that nobody waits for their end */
    sleep(5);
    _exit(0);
  }
  zoo_destroy(expert);
}
