/* create() sets a locale for the whole process. Elsewhere in the host numbers are suddenly written
 * and read with another decimal sign, and files sorted otherwise. */
#define ZOO_MAKE make
#include <locale.h>

#include "zoo.h"

static moec_status make(moec_expert* expert, const moec_create_info* info, moec_error* error) {
  (void)expert;
  (void)info;
  (void)error;
  setlocale(LC_ALL, "C.UTF-8");
  return MOEC_OK;
}
