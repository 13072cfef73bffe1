/* describe() names another library than the ABI note. A host that trusts the note runs code of
 * which it believes that it is somebody else's. */
#define ZOO_DESCRIBE describe
#include "zoo.h"

static const moec_library_info* describe(void) {
  static moec_library_info info;
  static const moec_string other = ZOO_STRING("org.moecollab.lexical");
  info = *zoo_describe();
  info.id = other;
  return &info;
}
