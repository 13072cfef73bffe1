#define MOECOLLAB_KERNELS kAvx512Kernels
#define MOECOLLAB_KERNELS_NAME "avx512"
#include "encoder/kernels_body.h"
