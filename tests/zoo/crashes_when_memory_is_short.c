/* Writes to what malloc() gave without a look at it. Where memory is short, the host dies with it.
 */
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)info;
  (void)error;
  expert->own = malloc(64);
  ((volatile char*)expert->own)[0] = 1;
  return MOEC_OK;
}
