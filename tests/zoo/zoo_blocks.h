/* The linear layer of zoo_linear.h, whose bias comes out of a block that the host computes
 * (draft/blocks/1): one with matrices and norms of 0 gives its last bias, whatever it reads. The
 * block is packed for each row again. If the host has no blocks, the layer adds the bias itself.
 * Zoo files replace, besides the functions there:
 *
 *   ZOO_BLOCK_BIAS  writes the bias that the block gets: `classes` values
 *
 * C11. */
#ifndef ZOO_BLOCKS_H_
#define ZOO_BLOCKS_H_

#define ZOO_MAKE zoo_make_with_encoder
#define ZOO_SCORE zoo_score_with_block
#include <moecollab/ext/draft/blocks.h>

#include "zoo_linear.h"

enum { kZooBlockWeights = 16 };
static int64_t zoo_intermediate; /* of the encoder */

static inline moec_status zoo_make_with_encoder(moec_expert* expert, const moec_create_info* info,
                                                moec_error* error) {
  zoo_intermediate = info->encoder->intermediate;
  return zoo_make_layer(expert, info, error);
}

#ifndef ZOO_BLOCK_BIAS
#define ZOO_BLOCK_BIAS zoo_block_bias
#endif
static void ZOO_BLOCK_BIAS(const moec_expert* expert, float* bias);

static inline void zoo_block_bias(const moec_expert* expert, float* bias) {
  memcpy(bias, zoo_layer_of(expert)->bias, (size_t)expert->classes * sizeof(float));
}

static inline moec_tensor zoo_matrix(float* values, int32_t ndim, const int64_t* shape) {
  moec_tensor tensor;
  memset(&tensor, 0, sizeof(tensor));
  tensor.data = values;
  tensor.device_type = MOEC_CPU;
  tensor.ndim = ndim;
  tensor.type_code = MOEC_FLOAT;
  tensor.type_bits = 32;
  tensor.type_lanes = 1;
  tensor.shape = shape;
  return tensor;
}

/* Packs the block, of zeros and `bias` [width]. */
static inline moec_status zoo_pack(const moec_host* host, const moec_ext_blocks* table,
                                   int64_t width, float* zeros, float* bias, moec_blocks** blocks) {
  static const moec_string names[kZooBlockWeights] = {
      ZOO_STRING("0.attention.self.query.weight"),
      ZOO_STRING("0.attention.self.key.weight"),
      ZOO_STRING("0.attention.self.value.weight"),
      ZOO_STRING("0.attention.output.dense.weight"),
      ZOO_STRING("0.intermediate.dense.weight"),
      ZOO_STRING("0.output.dense.weight"),
      ZOO_STRING("0.attention.self.query.bias"),
      ZOO_STRING("0.attention.self.key.bias"),
      ZOO_STRING("0.attention.self.value.bias"),
      ZOO_STRING("0.attention.output.dense.bias"),
      ZOO_STRING("0.attention.output.LayerNorm.weight"),
      ZOO_STRING("0.attention.output.LayerNorm.bias"),
      ZOO_STRING("0.output.dense.bias"),
      ZOO_STRING("0.output.LayerNorm.weight"),
      ZOO_STRING("0.output.LayerNorm.bias"),
      ZOO_STRING("0.intermediate.dense.bias")};
  const int64_t square[] = {width, width}, up[] = {zoo_intermediate, width},
                down[] = {width, zoo_intermediate};
  moec_tensor weights[kZooBlockWeights];
  for (int i = 0; i < kZooBlockWeights; ++i) {
    const int64_t* shape = i == 4 ? up : i == 5 ? down : i == 15 ? &zoo_intermediate : square;
    weights[i] = zoo_matrix(i == 14 ? bias : zeros, i < 6 ? 2 : 1, shape);
  }
  return table->pack(host, 1, kZooBlockWeights, names, weights, blocks, NULL);
}

/* The block's answer to one token, [width], in place of its bias. */
static inline int zoo_run_block(const moec_expert* expert, const moec_ext_blocks* table,
                                float* zeros, float* bias) {
  static const int32_t offsets[] = {0, 1};
  const int64_t shape[] = {1, expert->width};
  moec_blocks* blocks = NULL;
  if (zoo_pack(expert->host, table, expert->width, zeros, bias, &blocks) != MOEC_OK) return 0;
  const moec_tensor state = zoo_matrix(zeros, 2, shape), mean = zoo_matrix(bias, 2, shape);
  const moec_status done = table->means(expert->host, blocks, &state, offsets, 1, &mean, NULL);
  table->release(expert->host, blocks);
  return done == MOEC_OK;
}

static inline void zoo_score_with_block(const moec_expert* expert, const moec_batch* batch,
                                        int64_t row, float* out) {
  zoo_score_layer(expert, batch, row, out);
  const moec_ext_blocks* table =
      expert->host == NULL
          ? NULL
          : (const moec_ext_blocks*)expert->host->get_extension(expert->host, MOEC_EXT_BLOCKS);
  if (table == NULL) return;
  const int64_t most = expert->width > zoo_intermediate ? expert->width : zoo_intermediate;
  float* zeros = (float*)calloc((size_t)(expert->width * most), sizeof(float));
  float* bias = (float*)calloc((size_t)(expert->width + expert->classes), sizeof(float));
  if (zeros != NULL && bias != NULL) {
    ZOO_BLOCK_BIAS(expert, bias);
    if (zoo_run_block(expert, table, zeros, bias)) {
      for (int32_t c = 0; c < expert->classes; ++c)
        out[c] += bias[c] - zoo_layer_of(expert)->bias[c];
    }
  }
  free(zeros);
  free(bias);
}

#endif /* ZOO_BLOCKS_H_ */
