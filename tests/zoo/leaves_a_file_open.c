/* Opens a file for each expert and forgets it. In the end the host can open none. */
#include <fcntl.h>
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  if (open("/dev/null", O_RDONLY) < 0) return zoo_refuse(error, MOEC_INTERNAL, "no file");
  return MOEC_OK;
}
