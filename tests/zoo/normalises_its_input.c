/* Scales the features to length 1 where they lie. Every expert that reads them afterwards answers
 * something else, depending on who was asked first. */
#define ZOO_INPUTS MOEC_INPUT_POOLED
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  float* x = zoo_features(expert, batch, row);
  float most = 1e-6f;
  for (int64_t i = 0; i < expert->width; ++i) most = x[i] > most ? x[i] : most;
  for (int64_t i = 0; i < expert->width; ++i) x[i] /= most;
  for (int32_t c = 0; c < expert->classes; ++c) out[c] = x[c % expert->width];
}
