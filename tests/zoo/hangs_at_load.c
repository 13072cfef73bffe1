/* Waits for ever in a constructor, as for a server that does not answer. The host hangs while it
 * loads the package. */
#include <unistd.h>

#include "zoo.h"

__attribute__((constructor)) static void wait_for_the_server(void) {
  while (1) pause();
}
