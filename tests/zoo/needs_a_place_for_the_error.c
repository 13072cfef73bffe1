/* Writes why create() refuses without looking whether the caller wants to know. A host that passes
 * no moec_error dies of a refusal. */
#define ZOO_CREATE create
#include "zoo.h"

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  const moec_status status = zoo_create(host, info, expert, error);
  if (status != MOEC_OK) error->code = status;
  return status;
}
