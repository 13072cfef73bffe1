/* moecollab.draft.precision/1: what the host wants products to be computed in. The host's own:
 * host->get_extension(host, MOEC_EXT_PRECISION); NULL if the host leaves it to float32. A draft: it
 * promises nothing yet. */
#ifndef MOECOLLAB_EXT_DRAFT_PRECISION_H_
#define MOECOLLAB_EXT_DRAFT_PRECISION_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_PRECISION "moecollab.draft.precision/1"

enum {
  MOEC_PRECISION_FP32 = 0, /* products in float32 */
  MOEC_PRECISION_BF16 = 1  /* products of bfloat16 factors; sums, norms and parameters in float32 */
};

/* What the host's get_extension(MOEC_EXT_PRECISION) gives. */
typedef struct moec_ext_precision {
  uint32_t struct_size;
  /* Precision of forward_train(), vjp() and the calls of moecollab.fit/1: the same for the life of
   * an expert. An expert that cannot compute in it uses float32. A value that the expert does not
   * know is float32 too. [thread-safe] */
  int32_t (*training)(const moec_host* host);
} moec_ext_precision;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_DRAFT_PRECISION_H_ */
