/* create() switches the thread to flush-to-zero, which is faster. All that the host computes in
 * that thread from then on loses its smallest numbers. */
#define ZOO_MAKE make
#include <xmmintrin.h>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  _mm_setcsr(_mm_getcsr() | 0x8000u);
  return MOEC_OK;
}
