/* state/1 names the sums, but not the counts that they are divided by. The expert is good until it
 * is saved; the loaded one has learnt nothing. */
#define ZOO_STATE_COUNT 1
#include "zoo_means.h"
