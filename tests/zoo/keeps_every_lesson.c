/* Keeps a copy of each row that it learns until it is destroyed. Who looks for a good setting
 * trains it a hundred times, and runs out of memory. */
#define ZOO_LEARN learn
#define ZOO_DESTROY destroy
#include "zoo_means.h"

typedef struct lesson {
  struct lesson* before;
  float x[];
} lesson;

static lesson* last; /* of the one expert that learns */

static void learn(moec_expert* expert, const float* x, int32_t label, float weight) {
  const size_t bytes = (size_t)expert->width * sizeof(float);
  lesson* kept = (lesson*)malloc(sizeof(lesson) + bytes);
  if (kept != NULL) {
    memcpy(kept->x, x, bytes);
    kept->before = last;
    last = kept;
  }
  zoo_learn(expert, x, label, weight);
}

static void destroy(moec_expert* expert) {
  while (last != NULL) {
    lesson* before = last->before;
    free(last);
    last = before;
  }
  zoo_destroy(expert);
}
