// operator new throws where memory is short, and nothing here catches it: the exception leaves a C
// callback, which ends the host.
#define ZOO_MAKE make
#include <string>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)info;
  (void)error;
  const std::string name(200 + static_cast<size_t>(expert->classes), 'x');
  return name.empty() ? MOEC_INTERNAL : MOEC_OK;
}
