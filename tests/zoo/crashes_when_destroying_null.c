/* destroy(NULL) reads the object that is not there. A host that cleans up after a refused create()
 * dies. */
#define ZOO_DESTROY destroy
#include "zoo.h"

static void destroy(moec_expert* expert) {
  free(expert->own);
  free(expert);
}
