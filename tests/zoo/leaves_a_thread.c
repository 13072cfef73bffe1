/* destroy() leaves the clearing up to a thread that lives on. It runs in memory that the host
 * thinks is free, and delays its end. */
#define ZOO_DESTROY destroy
#include <pthread.h>
#include <unistd.h>

#include "zoo.h"

static void* clear_up(void* argument) {
  sleep(5);
  return argument;
}

static void destroy(moec_expert* expert) {
  static int cleared;
  pthread_t thread;
  if (expert != NULL && !cleared && pthread_create(&thread, NULL, clear_up, NULL) == 0)
    cleared = pthread_detach(thread) == 0; /* once: a hundred threads would be another fault */
  zoo_destroy(expert);
}
