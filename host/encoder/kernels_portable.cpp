#define MOECOLLAB_KERNELS kPortableKernels
#define MOECOLLAB_KERNELS_NAME "portable"
#include "encoder/kernels_body.h"
