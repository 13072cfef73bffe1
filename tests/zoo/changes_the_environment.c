/* create() sets a variable of the environment. Other libraries of the process read it, and setenv()
 * races with every getenv() of another thread. */
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  setenv("OMP_NUM_THREADS", "1729", 1);
  return MOEC_OK;
}
