/* Ends the process in a constructor, with a status that looks like success. The host is gone
 * without a word as soon as the package is loaded. */
#include "zoo.h"

__attribute__((constructor)) static void check_licence(void) { exit(0); }
