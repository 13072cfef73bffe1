/* error->code says MOEC_INTERNAL whatever the status is. The user who gave a wrong number reads
 * that the library has a defect. */
#define ZOO_CREATE create
#include "zoo.h"

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  const moec_status status = zoo_create(host, info, expert, error);
  if (status != MOEC_OK && error != NULL) error->code = MOEC_INTERNAL;
  return status;
}
