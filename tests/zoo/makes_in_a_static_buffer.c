/* create() sums up a table in static memory and copies it. Where two experts are made on two
 * threads, both get what neither should have. (The pauses stand for a longer computation, so that
 * it does not take luck to see.) */
#define ZOO_MAKE make
#define ZOO_SCORE score
#include <unistd.h>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  static float table[16];
  (void)info;
  expert->own = malloc(sizeof(table));
  if (expert->own == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  memset(table, 0, sizeof(table));
  for (int term = 1; term <= 8; ++term) {
    for (int i = 0; i < 16; ++i) table[i] += (float)(i + term);
    usleep(20);
  }
  memcpy(expert->own, table, sizeof(table));
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  for (int32_t c = 0; c < expert->classes; ++c) out[c] += ((const float*)expert->own)[c % 16];
}
