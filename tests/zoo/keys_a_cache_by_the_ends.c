/* Keeps the last long text's logits, and knows it again by its length and both ends. Two letters
 * that differ in their midst only get one answer. */
#define ZOO_SCORE score
#define ZOO_MAKE make
#include "zoo.h"

enum { kLong = 128, kEnd = 8, kMostClasses = 8 };
typedef struct cache {
  uint64_t size;
  char ends[2 * kEnd];
  float logits[kMostClasses];
} cache;

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  if (info->classes > kMostClasses)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "more classes than this expert knows");
  expert->own = calloc(1, sizeof(cache));
  return expert->own != NULL ? MOEC_OK : zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  cache* last = (cache*)expert->own;
  const moec_string text = batch->texts[row];
  const size_t bytes = (size_t)expert->classes * sizeof(float);
  char ends[2 * kEnd];
  if (text.size < kLong) {
    zoo_score(expert, batch, row, out);
    return;
  }
  memcpy(ends, text.data, kEnd);
  memcpy(ends + kEnd, text.data + text.size - kEnd, kEnd);
  if (last->size != text.size || memcmp(last->ends, ends, sizeof(ends)) != 0) {
    last->size = text.size;
    memcpy(last->ends, ends, sizeof(ends));
    zoo_score(expert, batch, row, last->logits);
  }
  memcpy(out, last->logits, bytes);
}
