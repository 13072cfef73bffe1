/* Leaves lr_scale at 0, and the host multiplies its learning rate by it. Training runs to its end
 * and has changed nothing. */
#define ZOO_LR_SCALE 0.0f
#include "zoo_linear.h"
