/* create() takes it for granted that the host has an encoder's weights to give. On a host without
 * them the user gets a crash, and no word of what is missing. */
#define ZOO_MAKE make
#include <moecollab/ext/encoder.h>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  const moec_host* host = expert->host;
  const moec_ext_encoder* encoder =
      (const moec_ext_encoder*)host->get_extension(host, MOEC_EXT_ENCODER);
  (void)info;
  if (encoder->struct_size < sizeof(moec_ext_encoder))
    return zoo_refuse(error, MOEC_UNSUPPORTED, "the host's encoder/1 is too old");
  return MOEC_OK;
}
