/* moecollab.draft.bottleneck/1: the expert's forward() is a residual bottleneck with a linear head,
 *
 *   y = W_out·(h + W_up·relu(W_down·h + b_down) + b_up) + b_out,
 *
 * of the pooled features h [d] of its layers, side by side from the lowest to the highest. A host
 * may then compute it by its own products, and fold matrices, instead of calling forward(), which
 * gives the same. @rule bottleneck-true The library's own:
 * table->get_extension(MOEC_EXT_BOTTLENECK). A draft: it promises nothing yet. */
#ifndef MOECOLLAB_EXT_DRAFT_BOTTLENECK_H_
#define MOECOLLAB_EXT_DRAFT_BOTTLENECK_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_BOTTLENECK "moecollab.draft.bottleneck/1"

/* The expert's memory: valid until its parameters or state change, or it is destroyed. Matrices are
 * row-major without gaps. */
typedef struct moec_bottleneck {
  uint32_t struct_size;
  int64_t features;         /* d: layers times the encoder's width */
  int64_t bottleneck;       /* k */
  int64_t classes;          /* C */
  const float* down_weight; /* [k, d] */
  const float* down_bias;   /* [k] */
  const float* up_weight;   /* [d, k] */
  const float* up_bias;     /* [d] */
  const float* out_weight;  /* [C, d] */
  const float* out_bias;    /* [C] */
} moec_bottleneck;

/* What get_extension(MOEC_EXT_BOTTLENECK) of a library gives; members are never NULL. */
typedef struct moec_ext_bottleneck {
  uint32_t struct_size;
  /* MOEC_UNSUPPORTED if the expert has no weights yet. [one call per object] */
  moec_status (*describe)(moec_expert* expert, moec_bottleneck* out, moec_error* error);
} moec_ext_bottleneck;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_DRAFT_BOTTLENECK_H_ */
