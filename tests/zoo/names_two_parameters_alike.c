/* Weight and bias have one name. The file of weights can hold only one of them. */
#define ZOO_BIAS "out.weight"
#include "zoo_linear.h"
