/* Counts its lessons for ever, and the later ones weigh more: a second fit is not like a first. */
#define ZOO_LEARN learn
#include "zoo_means.h"

static void learn(moec_expert* expert, const float* x, int32_t label, float weight) {
  zoo_learn(expert, x, label, weight * (1.0f + 0.01f * (float)++expert->calls));
}
