/* What it learns is kept beside the object as well, in memory of the library. In the process that
 * trained it every answer is right; in the next one, where the weights come from a file, the rest
 * is missing. */
#include <moecollab/learning_expert.h>

static float offsets[64]; /* per label */

static int64_t width(const moec_encoder_info* encoder) { return encoder->hidden; }
static void see(const moec_row* row, float* x) {
  for (int64_t i = 0; i < row->hidden_width; ++i) x[i] = row->pooled[i];
}
static uint64_t numbers(int32_t classes, int64_t wide) { return (uint64_t)(classes * wide); }
static void learn(moec_learner* self, const float* x, int32_t label, float weight) {
  for (int64_t i = 0; i < self->width; ++i) self->numbers[label * self->width + i] += weight * x[i];
}
static int32_t end_epoch(moec_learner* self) {
  for (int32_t c = 0; c < self->classes && c < 64; ++c) {
    offsets[c] = 0;
    for (int64_t i = 0; i < self->width; ++i)
      offsets[c] += self->numbers[c * self->width + i] * self->numbers[c * self->width + i];
  }
  return 1;
}
static void score(const moec_learner* self, const float* x, float* logits) {
  for (int32_t c = 0; c < self->classes; ++c)
    for (int64_t i = 0; i < self->width; ++i)
      logits[c] += self->numbers[c * self->width + i] * x[i] / (1 + offsets[c % 64]);
}

MOEC_LEARNING_EXPERT("org.moecollab.zoo", "1.0.0", MOEC_INPUT_POOLED, width, see, numbers, learn,
                     end_epoch, score);
