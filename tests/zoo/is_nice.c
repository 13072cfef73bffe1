/* Lowers the priority of the process that loaded it. The host waits for everybody else. */
#include <unistd.h>
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  if (nice(5) < 0) return zoo_refuse(error, MOEC_INTERNAL, "cannot be nice");
  return MOEC_OK;
}
