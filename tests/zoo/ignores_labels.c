/* fit_batch() teaches every class every text: it never looks at the labels. Training succeeds, and
 * the expert says the same to every text. */
#define ZOO_LEARN learn
#include "zoo_means.h"

static void learn(moec_expert* expert, const float* x, int32_t label, float weight) {
  (void)label;
  for (int32_t c = 0; c < expert->classes; ++c) zoo_learn(expert, x, c, weight);
}
