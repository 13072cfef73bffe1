/* destroy() frees the expert's buffer twice. The host dies when it gives the expert back. */
#define ZOO_MAKE make
#define ZOO_DESTROY destroy
#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)info;
  expert->own = malloc(64);
  return expert->own == NULL ? zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory") : MOEC_OK;
}

static void destroy(moec_expert* expert) {
  void* volatile buffer = expert == NULL ? NULL : expert->own; /* volatile: no warning wanted */
  free(buffer);
  zoo_destroy(expert);
}
