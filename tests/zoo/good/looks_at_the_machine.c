/* Looks at how many processors there are, in the system's own files, to choose a size for its
 * blocks; the answers do not depend on it. */
#define ZOO_SCORE score
#define ZOO_MAKE make
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  FILE* file = fopen("/sys/devices/system/cpu/online", "r");
  int last = 0;
  (void)info;
  expert->own = calloc(1, sizeof(int));
  if (file != NULL && fscanf(file, "0-%d", &last) != 1) last = 0;
  if (file != NULL) fclose(file);
  if (expert->own == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  *(int*)expert->own = 1 + last % 4;
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const int block = *(const int*)expert->own;
  for (int32_t first = 0; first < expert->classes; first += block) {
    float all[64] = {0};
    zoo_score_text(expert->classes < 64 ? expert->classes : 64, batch->texts[row], all);
    for (int32_t c = first; c < expert->classes && c < first + block; ++c) out[c] = all[c % 64];
  }
}
