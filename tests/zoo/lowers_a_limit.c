/* Lowers the number of files that may be open. The host fails to open its own later. */
#include <sys/resource.h>
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  const struct rlimit few = {64, 64};
  setrlimit(RLIMIT_NOFILE, &few);
  return MOEC_OK;
}
