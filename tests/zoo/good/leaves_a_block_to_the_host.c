/* The host computes a block for it, of the very values that it uses without the host. */
#include "zoo_blocks.h"
