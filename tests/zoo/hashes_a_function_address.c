/* Seeds a hash with the address of one of its functions. It lies elsewhere in each process, so that
 * the answers of yesterday cannot be had again, and two servers disagree. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const uintptr_t seed = (uintptr_t)&score >> 12;
  zoo_score(expert, batch, row, out);
  out[0] += (float)(seed % 97) * 0.01f;
}
