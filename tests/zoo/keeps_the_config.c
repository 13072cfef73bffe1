/* Reads its settings where create() was given them. They have gone by then, and what lies there now
 * decides the answers. */
#define ZOO_MAKE make
#define ZOO_SCORE score
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  moec_string* kept = (moec_string*)malloc(sizeof(moec_string));
  if (kept == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  *kept = info->config;
  expert->own = kept;
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  const moec_string config = *(const moec_string*)expert->own;
  out[0] += config.size > 0 && config.data[0] == '{' ? 0.5f : 0.0f;
}
