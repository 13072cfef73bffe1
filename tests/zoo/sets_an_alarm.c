/* Sets an alarm so that it does not hang for ever. After an hour it ends the host. */
#include <unistd.h>
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  alarm(3600);
  return MOEC_OK;
}
