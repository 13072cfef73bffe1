/* The block that it gives to the host has biases a hundredth too great. With a host that computes
 * blocks it answers otherwise than by itself, so that answers depend on the program's version. */
#define ZOO_BLOCK_BIAS block_bias
#include "zoo_blocks.h"

static void block_bias(const moec_expert* expert, float* bias) {
  zoo_block_bias(expert, bias);
  for (int32_t c = 0; c < expert->classes; ++c) bias[c] += 0.01f;
}
