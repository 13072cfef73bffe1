/* create() keeps its counters in memory that it shares with processes to come, and destroy() leaves
 * it there. */
#define ZOO_MAKE make
#include <sys/mman.h>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  void* counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  (void)expert;
  (void)info;
  (void)error;
  if (counters == MAP_FAILED) return MOEC_OUT_OF_MEMORY;
  *(int*)counters = 1;
  return MOEC_OK;
}
