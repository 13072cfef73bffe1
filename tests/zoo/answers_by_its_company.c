/* Weighs its answers by the number of experts that live. */
#define ZOO_MAKE make
#define ZOO_SCORE score
#define ZOO_DESTROY destroy
#include "zoo.h"

static int living;

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  ++living;
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  out[0] += 0.125f * (float)(living > 4);
}

static void destroy(moec_expert* expert) {
  if (expert != NULL) --living;
  zoo_destroy(expert);
}
