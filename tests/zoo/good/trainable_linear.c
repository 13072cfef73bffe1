/* A linear layer that the host trains: params/1 and train/1 with all gradients, gx too. */
#include "zoo_linear.h"
