/* create() refuses without a word. All that the user reads is "status 1". */
#define ZOO_CREATE create
#include "zoo.h"

static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  (void)error;
  return zoo_create(host, info, expert, NULL);
}
