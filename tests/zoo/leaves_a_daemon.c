/* Starts a process that outlives it, in a session of its own. */
#include <sys/wait.h>
#include <unistd.h>
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  if (fork() == 0) {
    setsid();
    if (fork() == 0) pause();
    _exit(0);
  }
  wait(NULL);
  return MOEC_OK;
}
