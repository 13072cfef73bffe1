/* The draft extension gives biases that forward() adds a hundredth more to. A host that computes
 * the expert by itself gives other answers than the library, and which of the two a user gets
 * depends on the program's version. */
#define ZOO_MATRICES matrices
#include "zoo_bottleneck.h"

static moec_bottleneck matrices(const moec_expert* expert) {
  static float biases[256];
  moec_bottleneck model = zoo_matrices(expert);
  for (int64_t c = 0; c < model.classes; ++c) biases[c] = model.out_bias[c] - 0.01f;
  model.out_bias = biases;
  return model;
}
