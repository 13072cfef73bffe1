/* Learns by itself and gives what it learnt: fit/1 and state/1. */
#include "zoo_means.h"
