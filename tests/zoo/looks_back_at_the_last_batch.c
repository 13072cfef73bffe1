/* Remembers the last text by its pointer, to answer equal ones faster. The host has freed it by
 * then. */
#define ZOO_MAKE make
#define ZOO_AFTER_FORWARD remember
#define ZOO_SCORE score
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)info;
  expert->own = calloc(1, sizeof(moec_string));
  return expert->own != NULL ? MOEC_OK : zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
}

static void remember(moec_expert* expert, const moec_batch* batch, float* logits) {
  (void)logits;
  *(moec_string*)expert->own = batch->texts[batch->rows - 1];
}

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const moec_string last = *(const moec_string*)expert->own, text = batch->texts[row];
  const int equal = last.size == text.size && memcmp(last.data, text.data, text.size) == 0;
  zoo_score_text(expert->classes, equal ? last : text, out);
  if (last.size > 0 && last.data[0] == 0) out[0] += 1;
}
