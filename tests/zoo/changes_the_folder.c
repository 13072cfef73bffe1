/* create() changes the working folder. The paths that the user gave relative to the old one are no
 * longer found. (/proc: a folder that no test stands in already.) */
#define ZOO_MAKE make
#include <unistd.h>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  if (chdir("/proc") != 0) return zoo_refuse(error, MOEC_INTERNAL, "there is no /proc");
  return MOEC_OK;
}
