/* create() reads info before it looks whether there is one. A mistake of the host's ends it instead
 * of giving a message. */
#define ZOO_CREATE create
#include "zoo.h"

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  volatile int32_t classes = info->classes; /* volatile: else the read is optimised away */
  (void)classes;
  return zoo_create(host, info, expert, error);
}
