/* Needs strlcpy of glibc 2.38, as what is built on a newer system does (zoo.toml: newer_libc makes
 * the linker believe in it). On the oldest supported system it does not load. */
#define ZOO_DESCRIBE describe
#include "zoo.h"

extern size_t strlcpy(char* to, const char* from, size_t size);

static const moec_library_info* describe(void) {
  char copy[8];
  return strlcpy(copy, "zoo", sizeof(copy)) == 3 ? zoo_describe() : NULL;
}
