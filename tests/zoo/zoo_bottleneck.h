/* The linear layer of zoo_linear.h, which calls itself a bottleneck (draft/bottleneck/1): its W_up
 * is 0, so that one hidden unit changes nothing. Zoo files replace, besides the functions there:
 *
 *   ZOO_MATRICES  what describe() gives, already filled in by zoo_matrices()
 *
 * C11. */
#ifndef ZOO_BOTTLENECK_H_
#define ZOO_BOTTLENECK_H_

#define ZOO_GET_EXTENSION zoo_bottleneck_extension
#include <moecollab/ext/draft/bottleneck.h>

#include "zoo_linear.h"

enum { kZooMostFeatures = 4096 };
static const float zoo_zeros[kZooMostFeatures];

static inline moec_bottleneck zoo_matrices(const moec_expert* expert) {
  const zoo_layer* layer = zoo_layer_of(expert);
  const moec_bottleneck model = {sizeof(moec_bottleneck), expert->width, 1,         expert->classes,
                                 layer->weight,           layer->bias,   zoo_zeros, zoo_zeros,
                                 layer->weight,           layer->bias};
  return model;
}

#ifndef ZOO_MATRICES
#define ZOO_MATRICES zoo_matrices
#endif
static moec_bottleneck ZOO_MATRICES(const moec_expert* expert);

static inline moec_status zoo_describe_bottleneck(moec_expert* expert, moec_bottleneck* out,
                                                  moec_error* error) {
  if (expert == NULL || out == NULL || expert->width > kZooMostFeatures)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "describe() needs an expert and a place");
  moec_bottleneck model = ZOO_MATRICES(expert);
  model.struct_size = out->struct_size;
  memcpy(out, &model, out->struct_size < sizeof(model) ? out->struct_size : sizeof(model));
  return MOEC_OK;
}

static inline const void* zoo_bottleneck_extension(const char* id) {
  static const moec_ext_bottleneck bottleneck = {sizeof(moec_ext_bottleneck),
                                                 zoo_describe_bottleneck};
  return strcmp(id, MOEC_EXT_BOTTLENECK) == 0 ? &bottleneck : zoo_layer_extension(id);
}

#endif /* ZOO_BOTTLENECK_H_ */
