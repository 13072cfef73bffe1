/* A fit that never asks should_stop(). Ctrl-C does nothing for 20 s. (It is only slow when the host
 * wants it to stop, so that whoever lets it finish does not wait.) */
#define ZOO_GO_ON go_on
#include <unistd.h>

#include "zoo_means.h"

static moec_status go_on(moec_expert* expert, moec_error* error) {
  if (zoo_go_on(expert, error) == MOEC_CANCELLED) usleep(20 * 1000 * 1000);
  return MOEC_OK;
}
