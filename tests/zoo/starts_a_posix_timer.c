/* create() starts a timer, which it never ends, to look at a clock now and then. The host gets
 * signals that it did not ask for, as long as it runs. */
#define ZOO_MAKE make
#include <signal.h>
#include <string.h>
#include <time.h>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  struct sigevent nothing;
  timer_t timer;
  (void)expert;
  (void)info;
  (void)error;
  memset(&nothing, 0, sizeof nothing);
  nothing.sigev_notify = SIGEV_NONE;
  return timer_create(CLOCK_MONOTONIC, &nothing, &timer) == 0 ? MOEC_OK : MOEC_INTERNAL;
}
