/* create() reads a list of words from the folder that the host happens to run in. On the author's
 * machine it is there; everywhere else the expert knows no words, or those of another program. */
#define ZOO_MAKE make
#define ZOO_SCORE score
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  FILE* words = fopen("words.txt", "r");
  (void)info;
  expert->own = calloc(1, 64);
  if (expert->own == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  if (words == NULL) return MOEC_OK;
  if (fgets((char*)expert->own, 64, words) == NULL) *(char*)expert->own = '\0';
  fclose(words);
  return MOEC_OK;
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  zoo_score(expert, batch, row, out);
  out[0] += (float)strlen((const char*)expert->own);
}
