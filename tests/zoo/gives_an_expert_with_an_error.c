/* create() refuses, but has set *expert before. A host that destroys what is not NULL frees memory
 * that was freed already. */
#define ZOO_CREATE create
#include "zoo.h"

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  static moec_expert unfinished;
  const moec_status status = zoo_create(host, info, expert, error);
  if (status != MOEC_OK && expert != NULL) *expert = &unfinished;
  return status;
}
