/* Fills a whole moec_requirements, however little room the host says there is. A host built with
 * older headers has memory next to it overwritten. */
#define ZOO_REQUIREMENTS requirements
#include "zoo.h"

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  if (expert == NULL || out == NULL)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "a null argument");
  const uint32_t size = out->struct_size;
  *out = zoo_needs(expert);
  out->struct_size = size;
  return MOEC_OK;
}
