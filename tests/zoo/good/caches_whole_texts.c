/* Keeps the last eight answers, each found by the whole text. */
#define ZOO_SCORE score
#define ZOO_MAKE make
#include "zoo.h"

enum { kAnswers = 8, kMostText = 4096, kMostClasses = 16 };
typedef struct answer {
  uint64_t size;
  float logits[kMostClasses];
  char text[kMostText];
} answer;

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  if (info->classes > kMostClasses)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "at most 16 classes");
  expert->own = calloc(kAnswers, sizeof(answer));
  return expert->own != NULL ? MOEC_OK : zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const moec_string text = batch->texts[row];
  const size_t bytes = (size_t)expert->classes * sizeof(float);
  answer* known = (answer*)expert->own + text.size % kAnswers;
  if (text.size == 0 || text.size > kMostText) {
    zoo_score(expert, batch, row, out);
    return;
  }
  if (known->size != text.size || memcmp(known->text, text.data, text.size) != 0) {
    zoo_score(expert, batch, row, known->logits);
    known->size = text.size;
    memcpy(known->text, text.data, text.size);
  }
  memcpy(out, known->logits, bytes);
}
