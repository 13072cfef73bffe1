/* requirements() writes its own size into struct_size. A host that knows less believes that members
 * after the end of its struct are there, and reads them. */
#define ZOO_REQUIREMENTS requirements
#include "zoo.h"

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  const moec_status status = zoo_requirements(expert, out, error);
  if (status == MOEC_OK) out->struct_size = sizeof(moec_requirements);
  return status;
}
