/* Makes a new table in each call. Every call leaks one, and a host that keeps the first and
 * compares takes the library for two. */
#define ZOO_ENTRY
#include "zoo.h"

static moec_library* volatile latest; /* volatile: else the compiler sees through it */

const moec_library* moec_plugin_entry(void) {
  latest = (moec_library*)malloc(sizeof(moec_library));
  if (latest != NULL) *latest = zoo_table;
  return latest;
}
