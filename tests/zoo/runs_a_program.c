/* create() runs a program of the user's. Whoever can put a file of that name into the search path
 * decides what runs in the user's name. */
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)info;
  (void)error;
  expert->calls = system("true") == 0 ? 0 : 1;
  return MOEC_OK;
}
