/* Keeps every text that it has seen, to answer it faster the second time. After a day it has the
 * host's memory. */
#define ZOO_AFTER_FORWARD remember
#define ZOO_DESTROY forget
#include "zoo.h"

typedef struct seen {
  struct seen* next;
  char bytes[100];
} seen;

static void remember(moec_expert* expert, const moec_batch* batch, float* logits) {
  (void)batch;
  (void)logits;
  if (expert->calls < 3000 && expert->calls % 2 == 0) return;
  seen* one = (seen*)calloc(1, sizeof(seen));
  if (one == NULL) return;
  one->next = (seen*)expert->own;
  expert->own = one;
}

static void forget(moec_expert* expert) {
  while (expert != NULL && expert->own != NULL) {
    seen* next = ((seen*)expert->own)->next;
    free(expert->own);
    expert->own = next;
  }
  zoo_destroy(expert);
}
