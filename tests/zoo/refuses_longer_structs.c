/* Wants struct_size to be the one that it knows. With the next host, whose struct has grown, the
 * expert no longer works although nothing that it uses has changed. */
#define ZOO_REQUIREMENTS requirements
#include "zoo.h"

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  if (out != NULL && out->struct_size > sizeof(moec_requirements))
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "requirements of another version");
  return zoo_requirements(expert, out, error);
}
