/* Gives its state rounded to bfloat16 and continues with the exact numbers. What is saved is not
 * what was measured: the loaded expert answers otherwise. */
#define ZOO_READ_STATE read_state
#include "zoo_means.h"

static void read_state(const moec_expert* expert, uint64_t index, float* destination) {
  zoo_read_state(expert, index, destination);
  for (int64_t i = 0; i < zoo_means_of(expert)->size[index]; ++i) {
    uint32_t bits;
    memcpy(&bits, &destination[i], sizeof(bits));
    bits &= 0xFFFF0000u;
    memcpy(&destination[i], &bits, sizeof(bits));
  }
}
