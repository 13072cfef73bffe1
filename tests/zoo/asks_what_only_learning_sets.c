/* A pointer of the library is set when something is learnt, and followed when something is asked.
 * In a process that only answers, with weights from a file, it leads nowhere. */
#include <moecollab/learning_expert.h>

static const float kSharpness = 20;
static const float* sharpness; /* set by end_epoch() */

static int64_t width(const moec_encoder_info* encoder) { return encoder->hidden; }
static void see(const moec_row* row, float* x) {
  for (int64_t i = 0; i < row->hidden_width; ++i) x[i] = row->pooled[i];
}
static uint64_t numbers(int32_t classes, int64_t wide) { return (uint64_t)(classes * wide); }
static void learn(moec_learner* self, const float* x, int32_t label, float weight) {
  float squares = 1e-6f;
  for (int64_t i = 0; i < self->width; ++i) squares += x[i] * x[i];
  for (int64_t i = 0; i < self->width; ++i)
    self->numbers[label * self->width + i] += weight * x[i] / squares;
}
static int32_t end_epoch(moec_learner* self) {
  (void)self;
  sharpness = &kSharpness;
  return 1;
}
static void score(const moec_learner* self, const float* x, float* logits) {
  for (int32_t c = 0; c < self->classes; ++c)
    for (int64_t i = 0; i < self->width; ++i)
      logits[c] += *sharpness * self->numbers[c * self->width + i] * x[i];
}

MOEC_LEARNING_EXPERT("org.moecollab.zoo", "1.0.0", MOEC_INPUT_POOLED, width, see, numbers, learn,
                     end_epoch, score);
