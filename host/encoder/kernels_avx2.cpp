#define MOECOLLAB_KERNELS kAvx2Kernels
#define MOECOLLAB_KERNELS_NAME "avx2"
#include "encoder/kernels_body.h"
