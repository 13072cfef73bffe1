/* Counts its objects in a table of 49 and runs over its end. A host that makes an expert per
 * request dies after a while. */
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  static int made;
  (void)expert;
  (void)info;
  (void)error;
  if (++made == 50) abort(); /* where the write past the end would do its harm */
  return MOEC_OK;
}
