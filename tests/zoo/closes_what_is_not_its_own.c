/* Closes all descriptors, as daemons do. The host's files are among them. */
#include <unistd.h>
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  for (int file = 3; file < 64; ++file) close(file);
  return MOEC_OK;
}
