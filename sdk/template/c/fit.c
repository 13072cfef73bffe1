/* A text gets the label whose training texts' features point the same way as its own. */
#include <math.h>
#include <moecollab/learning_expert.h>

@FEATURES@
/* Per label: the sum of its texts' directions [width], and how often it came. */
static uint64_t numbers(int32_t classes, int64_t width) {
  return (uint64_t)classes * (uint64_t)(width + 1);
}

static float length(const float* x, int64_t width) {
  double squares = 0;
  for (int64_t i = 0; i < width; ++i) squares += (double)x[i] * x[i];
  return (float)sqrt(squares) + 1e-12f;
}

static void learn(moec_learner* self, const float* x, int32_t label, float weight) {
  float* sums = self->numbers + label * (self->width + 1);
  const float scale = weight / length(x, self->width);
  for (int64_t i = 0; i < self->width; ++i) sums[i] += scale * x[i];
  sums[self->width] += weight;
}

/* One pass says all; a second one would only double the sums. */
static int32_t end_epoch(moec_learner* self) {
  (void)self;
  return 0;
}

static void score(const moec_learner* self, const float* x, float* logits) {
  for (int32_t c = 0; c < self->classes; ++c) {
    const float* sums = self->numbers + c * (self->width + 1);
    double product = 0;
    for (int64_t i = 0; i < self->width; ++i) product += (double)sums[i] * x[i];
    logits[c] =
        (float)(20 * product / ((double)length(sums, self->width) * length(x, self->width)));
  }
}

MOEC_LEARNING_EXPERT("@ID@", "1.0.0", kInput, width, see, numbers, learn, end_epoch, score);
