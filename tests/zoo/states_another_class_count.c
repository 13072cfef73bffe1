/* requirements() says one class more than the manifest. A host that believes it has room for
 * answers that nobody writes. */
#define ZOO_REQUIREMENTS requirements
#include "zoo.h"

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  if (expert == NULL || out == NULL)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "a null argument");
  moec_requirements needs = zoo_needs(expert);
  ++needs.classes;
  zoo_hand_out(needs, out);
  return MOEC_OK;
}
