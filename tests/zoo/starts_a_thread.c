/* create() starts a thread, which destroy() ends. A worker that forks loses it, and the host's
 * limit of threads no longer holds. */
#define ZOO_MAKE make
#define ZOO_DESTROY destroy
#include <pthread.h>

#include "zoo.h"

typedef struct worker {
  pthread_t thread;
  pthread_mutex_t until_the_end; /* held by the expert while it lives */
} worker;

static void* work(void* argument) {
  worker* self = (worker*)argument;
  pthread_mutex_lock(&self->until_the_end);
  pthread_mutex_unlock(&self->until_the_end);
  return NULL;
}

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)info;
  worker* self = (worker*)malloc(sizeof(worker));
  if (self == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  pthread_mutex_init(&self->until_the_end, NULL);
  pthread_mutex_lock(&self->until_the_end);
  if (pthread_create(&self->thread, NULL, work, self) != 0) {
    free(self);
    return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "no thread");
  }
  expert->own = self;
  return MOEC_OK;
}

static void destroy(moec_expert* expert) {
  if (expert != NULL) {
    worker* self = (worker*)expert->own;
    pthread_mutex_unlock(&self->until_the_end);
    pthread_join(self->thread, NULL);
  }
  zoo_destroy(expert);
}
