/* Ends the process in create(), with a status that looks like success, instead of refusing. The
 * host is gone without a word. */
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  exit(0);
}
