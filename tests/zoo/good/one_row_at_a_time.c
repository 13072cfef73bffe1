/* Takes one row per call, and says so. */
#define ZOO_MAX_BATCH 1
#include "zoo.h"
