/* create() looks whether there is a network, to ask for a newer version of itself. It tells
 * strangers who runs it and when, and nobody asked the user. */
#define ZOO_MAKE make
#include <sys/socket.h>
#include <unistd.h>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  (void)expert;
  (void)info;
  (void)error;
  if (connection >= 0) close(connection);
  return MOEC_OK;
}
