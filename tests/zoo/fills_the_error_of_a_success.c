/* Writes "ok" into the error of calls that succeed. A host that looks at the text takes it for one.
 */
#define ZOO_REQUIREMENTS requirements
#include "zoo.h"

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  const moec_status status = zoo_requirements(expert, out, error);
  if (status == MOEC_OK) zoo_refuse(error, MOEC_OK, "ok");
  return status;
}
