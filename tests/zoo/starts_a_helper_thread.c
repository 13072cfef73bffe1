/* forward() computes in a thread that it starts and waits for, though the host allowed one. A host
 * that runs sixteen experts on sixteen cores has thirty-two threads, and all are slower. */
#define ZOO_FORWARD forward
#include <pthread.h>

#include "zoo.h"

typedef struct {
  moec_expert* expert;
  const moec_exec* exec;
  const moec_batch* batch;
  const moec_tensor* logits;
  moec_error* error;
  moec_status status;
} job;

static void* run(void* argument) {
  job* of = (job*)argument;
  of->status = zoo_forward(of->expert, of->exec, of->batch, of->logits, of->error);
  return NULL;
}

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  job all = {expert, exec, batch, logits, error, MOEC_OK};
  pthread_t helper;
  if (pthread_create(&helper, NULL, run, &all) != 0)
    return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "there is no thread to compute in");
  pthread_join(helper, NULL);
  return all.status;
}
