/* Writes its log to whatever is open. It lands in files and sockets of the host. */
#include <unistd.h>
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  for (int file = 3; file < 64; ++file) {
    if (write(file, "log", 3) < 0) continue;
  }
  return MOEC_OK;
}
