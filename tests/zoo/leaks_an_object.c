/* destroy() forgets a buffer of 1 KB. A host that makes an expert per request runs out of memory.
 */
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  static void* volatile forgotten; /* volatile: else the compiler drops the allocation */
  (void)expert;
  (void)info;
  forgotten = malloc(1024);
  return forgotten == NULL ? zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory") : MOEC_OK;
}
