/* The host may compute it: the draft extension gives the very values that forward() uses. */
#include "zoo_bottleneck.h"
