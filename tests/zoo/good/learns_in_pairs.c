/* Learns two rows at a time; the one that is left at the end of an epoch is learnt there. */
#define ZOO_LEARN learn
#define ZOO_FIT_BEGIN begin
#define ZOO_EPOCH_END end_epoch
#define ZOO_SPARE (3 + kMostFeatures)
enum { kMostFeatures = 4096 };
#include "zoo_means.h"

/* zoo_spare(): whether a row waits, its label, its weight, its features. */
static void learn_waiting(moec_expert* expert) {
  float* waiting = zoo_spare(expert);
  if (waiting[0] != 0) zoo_learn(expert, waiting + 3, (int32_t)waiting[1], waiting[2]);
  waiting[0] = 0;
}

static moec_status begin(moec_expert* expert, const moec_exec* exec, int64_t rows,
                         int32_t max_epochs, uint64_t seed, moec_error* error) {
  const moec_status status = zoo_fit_begin(expert, exec, rows, max_epochs, seed, error);
  if (status == MOEC_OK && expert->width > kMostFeatures)
    return zoo_refuse(error, MOEC_UNSUPPORTED, "features are at most 4096 wide");
  if (status == MOEC_OK) zoo_spare(expert)[0] = 0;
  return status;
}

static void learn(moec_expert* expert, const float* x, int32_t label, float weight) {
  float* waiting = zoo_spare(expert);
  if (waiting[0] != 0) {
    learn_waiting(expert);
    zoo_learn(expert, x, label, weight);
    return;
  }
  waiting[0] = 1;
  waiting[1] = (float)label;
  waiting[2] = weight;
  memcpy(waiting + 3, x, (size_t)expert->width * sizeof(float));
}

static moec_status end_epoch(moec_expert* expert, const moec_exec* exec, int32_t* want_more,
                             moec_error* error) {
  learn_waiting(expert);
  return zoo_fit_epoch_end(expert, exec, want_more, error);
}
