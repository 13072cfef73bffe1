/* The layers that requirements() points to lie where forward() computes. After the first batch the
 * host gives the features of a layer that nobody asked for. */
#define ZOO_INPUTS MOEC_INPUT_POOLED
#define ZOO_REQUIREMENTS requirements
#define ZOO_SCORE score
#include "zoo.h"

static int32_t scratch[1];

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  if (expert == NULL || out == NULL) return zoo_requirements(expert, out, error);
  moec_requirements needs = zoo_needs(expert);
  scratch[0] = expert->layer;
  needs.layers = scratch;
  zoo_hand_out(needs, out);
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const float* x = zoo_features(expert, batch, row);
  for (int32_t c = 0; c < expert->classes; ++c) {
    scratch[0] = (int32_t)((c + 1) % expert->width);
    out[c] = x[scratch[0]];
  }
}
