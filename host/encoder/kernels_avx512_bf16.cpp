#define MOECOLLAB_KERNELS kAvx512Bf16Kernels
#define MOECOLLAB_KERNELS_NAME "avx512_bf16"
#include "encoder/kernels_body.h"
