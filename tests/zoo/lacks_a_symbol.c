/* Calls a function that no library has (linked without -z defs). It does not load; with lazy
 * binding it would end the host at its first forward(). */
#define ZOO_SCORE score
#include "zoo.h"

extern void function_of_no_library(float* out);

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  function_of_no_library(out);
}
