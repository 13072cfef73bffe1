/* moecollab.draft.blocks/1: the host computes blocks of the encoder's shape with an expert's own
 * weights, as fast as its encoder's. The host's own: host->get_extension(host, MOEC_EXT_BLOCKS);
 * NULL if no encoder is set. For inference; training is the expert's. A draft: it promises nothing
 * yet. */
#ifndef MOECOLLAB_EXT_DRAFT_BLOCKS_H_
#define MOECOLLAB_EXT_DRAFT_BLOCKS_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_BLOCKS "moecollab.draft.blocks/1"

typedef struct moec_blocks moec_blocks; /* the host's */

/* What the host's get_extension(MOEC_EXT_BLOCKS) gives. */
typedef struct moec_ext_blocks {
  uint32_t struct_size;
  /* `count` blocks of these weights, float32 on the CPU, which are copied. Names are those of
   * Hugging Face's BertModel after "encoder.layer.", from block 0 on ("0.output.dense.weight");
   * heads, activation and epsilon are the encoder's. MOEC_INVALID_ARGUMENT names a weight that is
   * missing or of another shape. [thread-safe] */
  moec_status (*pack)(const moec_host* host, uint64_t count, uint64_t weight_count,
                      const moec_string* names, const moec_tensor* weights, moec_blocks** blocks,
                      moec_error* error);
  /* `states` and `means` are in the host's memory, or on the device that the encoder is on.
   * Runs all blocks over `rows` texts. Text r owns rows row_offsets[r] to row_offsets[r + 1] of
   * `states` [T, H], one at least. Writes the mean of its last states to row r of `means` [rows,
   * H]. A text's result depends on that text alone. [thread-safe] */
  moec_status (*means)(const moec_host* host, const moec_blocks* blocks, const moec_tensor* states,
                       const int32_t* row_offsets, uint64_t rows, const moec_tensor* means,
                       moec_error* error);
  /* Takes blocks of the same host, or NULL. [thread-safe] */
  void (*release)(const moec_host* host, moec_blocks* blocks);
} moec_ext_blocks;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_DRAFT_BLOCKS_H_ */
