/* Copies struct_size bytes from a struct of its own that is shorter. A newer host reads what lay
 * after it as members that this library never filled. */
#define ZOO_REQUIREMENTS requirements
#include "zoo.h"

static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  struct {
    moec_requirements needs;
    unsigned char after[256]; /* what happens to lie there */
  } mine;
  if (expert == NULL || out == NULL || out->struct_size > sizeof(mine))
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "requirements() needs an expert and a place");
  memset(mine.after, 0x5A, sizeof(mine.after));
  mine.needs = zoo_needs(expert);
  mine.needs.struct_size = out->struct_size;
  memcpy(out, &mine, out->struct_size);
  return MOEC_OK;
}
