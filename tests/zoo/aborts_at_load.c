/* Aborts in a constructor, as a library does that registers the same name twice. The host dies
 * while it loads the package. */
#include "zoo.h"

__attribute__((constructor)) static void register_once(void) { abort(); }
