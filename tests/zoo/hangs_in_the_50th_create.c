/* Takes one of 49 places in each create() and never gives it back; the fiftieth waits for ever. A
 * host that makes an expert per request stops answering. */
#define ZOO_MAKE make
#include <unistd.h>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  static int places = 49;
  (void)expert;
  (void)info;
  (void)error;
  while (places == 0) pause();
  --places;
  return MOEC_OK;
}
