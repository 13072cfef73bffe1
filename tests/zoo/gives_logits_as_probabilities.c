/* Its manifest says that it gives probabilities, but it gives logits (zoo.toml: output). The host
 * takes their logarithm, and mixes nonsense. */
#include "zoo.h"
