/* Computes a row in static memory and copies it out. Two objects on two threads give each other's
 * answers. (The pause stands for a longer computation, so that it does not take luck to see.) */
#define ZOO_SCORE score
#include <unistd.h>

#include "zoo.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  static float scratch[64];
  const int32_t classes = expert->classes < 64 ? expert->classes : 64;
  memset(out, 0, (size_t)expert->classes * sizeof(float));
  zoo_score_text(classes, batch->texts[row], scratch);
  usleep(20);
  memcpy(out, scratch, (size_t)classes * sizeof(float));
}
