/* create() installs its own handler of SIGSEGV. The crash reports of the host stop, and its own
 * recovery never runs. */
#define ZOO_MAKE make
#include <signal.h>
#include <unistd.h>

#include "zoo.h"

static void leave(int number) { _exit(number); }

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  signal(SIGSEGV, leave);
  return MOEC_OK;
}
