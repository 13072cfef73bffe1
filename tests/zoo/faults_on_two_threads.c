/* Two threads of its own write where nothing is, at the same moment. */
#define ZOO_AFTER_FORWARD touch_nothing
#include <pthread.h>

#include "zoo.h"

static void* write_nowhere(void* both) {
  volatile int* volatile nowhere = NULL;
  pthread_barrier_wait((pthread_barrier_t*)both);
  *nowhere = 1;
  return NULL;
}

static void touch_nothing(moec_expert* expert, const moec_batch* batch, float* logits) {
  (void)expert;
  (void)batch;
  (void)logits;
  pthread_t threads[2];
  pthread_barrier_t both;
  pthread_barrier_init(&both, NULL, 2);
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, write_nowhere, &both);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
}
