/* Knows an extension by the beginning of its id, so that "moecollab.params-of-adapters/1" is
 * params/1 to it. A host that asks for one table gets another, and calls functions that are not
 * there. */
#define ZOO_GET_EXTENSION get_extension
#include "zoo_linear.h"

static const void* get_extension(const char* id) {
  const char known[] = "moecollab.params";
  if (strncmp(id, known, sizeof(known) - 1) == 0) return &zoo_params;
  return zoo_layer_extension(id);
}
