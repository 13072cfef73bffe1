/* A linear layer on pooled features that the host trains (params/1, train/1), and that does it
 * right. Zoo files replace, besides the functions of zoo.h:
 *
 *   ZOO_GRADIENTS      adds to the parameters' gradients
 *   ZOO_GX             writes the gradient of the features
 *   ZOO_BIND, ZOO_PARAM_INIT, ZOO_PARAMS_CHANGED, ZOO_FORWARD_TRAIN, ZOO_VJP, ZOO_RELEASE_SAVED
 * whole
 *
 * Values: ZOO_BIAS (the bias's name), ZOO_LR_SCALE, ZOO_SPARE (how many floats zoo_spare() gives,
 * all 0 at first). C11. */
#ifndef ZOO_LINEAR_H_
#define ZOO_LINEAR_H_

#define ZOO_INPUTS MOEC_INPUT_POOLED
#ifndef ZOO_BIAS
#define ZOO_BIAS "out.bias"
#endif
#ifndef ZOO_LR_SCALE
#define ZOO_LR_SCALE 1.0f
#endif
#ifndef ZOO_SPARE
#define ZOO_SPARE 0
#endif
#define ZOO_TAKES_WEIGHTS 1
#ifndef ZOO_MAKE
#define ZOO_MAKE zoo_make_layer
#endif
#ifndef ZOO_SCORE
#define ZOO_SCORE zoo_score_layer
#endif
#ifndef ZOO_GET_EXTENSION
#define ZOO_GET_EXTENSION zoo_layer_extension
#endif
#include <moecollab/ext/params.h>
#include <moecollab/ext/train.h>

#include "zoo.h"

typedef struct zoo_layer {
  float *weight, *bias;           /* [classes, width], [classes]: `values` until the host binds */
  float *weight_grad, *bias_grad; /* NULL until the host binds */
  int64_t shape[2];               /* of the weight; the first one is the bias's */
  float values[];
} zoo_layer;

static inline zoo_layer* zoo_layer_of(const moec_expert* expert) { return (zoo_layer*)expert->own; }

/* --- making it -------------------------------------------------------------------------------- */

/* Small numbers that a seed decides (SplitMix64). */
static inline void zoo_draw(float* values, int64_t count, uint64_t seed) {
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bits = (seed * 1000003u + (uint64_t)i + 1) * 0x9E3779B97F4A7C15u;
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
    values[i] = (float)((bits ^ (bits >> 31)) >> 40) / 83886080.0f - 0.1f; /* [-0.1, 0.1) */
  }
}

static inline int64_t zoo_value_count(const moec_expert* expert) {
  return expert->classes * (expert->width + 1);
}

static inline float* zoo_spare(const moec_expert* expert) {
  return zoo_layer_of(expert)->values + zoo_value_count(expert);
}

static inline moec_status zoo_make_layer(moec_expert* expert, const moec_create_info* info,
                                         moec_error* error) {
  const int64_t count = zoo_value_count(expert);
  zoo_layer* layer =
      (zoo_layer*)calloc(1, sizeof(zoo_layer) + (size_t)(count + ZOO_SPARE) * sizeof(float));
  if (layer == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  expert->own = layer;
  layer->weight = layer->values;
  layer->bias = layer->values + expert->classes * expert->width;
  layer->shape[0] = expert->classes;
  layer->shape[1] = expert->width;
  zoo_draw(layer->values, count, 1);
  if (info->weight_count == 0) return MOEC_OK;
  const moec_tensor* weight = zoo_find_weight(info, "out.weight");
  const moec_tensor* bias = zoo_find_weight(info, "out.bias");
  if (weight == NULL || weight->ndim != 2 || weight->shape[0] != expert->classes ||
      weight->shape[1] != expert->width || bias == NULL || bias->ndim != 1 ||
      bias->shape[0] != expert->classes)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "weights are missing or have another shape");
  memcpy(layer->weight, weight->data, (size_t)(count - expert->classes) * sizeof(float));
  memcpy(layer->bias, bias->data, (size_t)expert->classes * sizeof(float));
  return MOEC_OK;
}

/* --- running it ------------------------------------------------------------------------------- */

static inline void zoo_score_layer(const moec_expert* expert, const moec_batch* batch, int64_t row,
                                   float* out) {
  const zoo_layer* layer = zoo_layer_of(expert);
  const float* x = zoo_features(expert, batch, row);
  for (int32_t c = 0; c < expert->classes; ++c) {
    out[c] = layer->bias[c];
    for (int64_t i = 0; i < expert->width; ++i)
      out[c] += layer->weight[c * expert->width + i] * x[i];
  }
}

/* --- params/1 --------------------------------------------------------------------------------- */

static inline uint64_t zoo_param_count(moec_expert* expert) {
  (void)expert;
  return 2;
}

static inline moec_status zoo_param_describe(moec_expert* expert, uint64_t index,
                                             moec_param_info* out, moec_error* error) {
  static const moec_string names[] = {ZOO_STRING("out.weight"), ZOO_STRING(ZOO_BIAS)};
  if (expert == NULL || out == NULL || index >= 2)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "there is no such parameter");
  const moec_param_info info = {
      out->struct_size, names[index], index == 0 ? 2 : 1, zoo_layer_of(expert)->shape, 1,
      index == 0,       ZOO_LR_SCALE};
  memcpy(out, &info, out->struct_size < sizeof(info) ? out->struct_size : sizeof(info));
  return MOEC_OK;
}

static inline moec_status zoo_bind(moec_expert* expert, const moec_tensor* values,
                                   const moec_tensor* grads, moec_error* error) {
  if (expert == NULL || values == NULL || grads == NULL)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "bind() needs values and gradients");
  zoo_layer* layer = zoo_layer_of(expert);
  layer->weight = (float*)values[0].data;
  layer->bias = (float*)values[1].data;
  layer->weight_grad = (float*)grads[0].data;
  layer->bias_grad = (float*)grads[1].data;
  return MOEC_OK;
}

static inline moec_status zoo_param_init(moec_expert* expert, uint64_t seed, moec_error* error) {
  if (expert == NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "the expert is null");
  zoo_draw(zoo_layer_of(expert)->weight, expert->classes * expert->width, seed);
  zoo_draw(zoo_layer_of(expert)->bias, expert->classes, seed + 1);
  return MOEC_OK;
}

static inline moec_status zoo_params_changed(moec_expert* expert, moec_error* error) {
  (void)expert; /* nothing is derived from them */
  (void)error;
  return MOEC_OK;
}

/* --- train/1 ---------------------------------------------------------------------------------- */

struct moec_saved {
  const moec_batch* batch; /* the host keeps it until the context is released */
};

static inline moec_status zoo_forward_train(moec_expert* expert, const moec_exec* exec,
                                            const moec_batch* batch, const moec_tensor* logits,
                                            moec_saved** saved, moec_error* error) {
  if (saved == NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "no place for the context");
  const moec_status status = zoo_forward(expert, exec, batch, logits, error);
  if (status != MOEC_OK) return status;
  *saved = (moec_saved*)malloc(sizeof(moec_saved));
  if (*saved == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  (*saved)->batch = batch;
  return MOEC_OK;
}

/* What the bias gets is the sum of gy; what the weight gets, that of gy times the features. */
static inline void zoo_gradients(moec_expert* expert, const moec_batch* batch, const float* gy) {
  const zoo_layer* layer = zoo_layer_of(expert);
  for (int64_t row = 0; row < batch->rows; ++row) {
    const float* x = zoo_features(expert, batch, row);
    for (int32_t c = 0; c < expert->classes; ++c, ++gy) {
      layer->bias_grad[c] += *gy;
      for (int64_t i = 0; i < expert->width; ++i)
        layer->weight_grad[c * expert->width + i] += *gy * x[i];
    }
  }
}

static inline void zoo_gx(moec_expert* expert, const moec_batch* batch, const float* gy,
                          float* gx) {
  const zoo_layer* layer = zoo_layer_of(expert);
  for (int64_t row = 0; row < batch->rows; ++row, gy += expert->classes) {
    for (int64_t i = 0; i < expert->width; ++i) {
      float sum = 0;
      for (int32_t c = 0; c < expert->classes; ++c)
        sum += gy[c] * layer->weight[c * expert->width + i];
      *gx++ = sum;
    }
  }
}

#ifndef ZOO_BIND
#define ZOO_BIND zoo_bind
#endif
#ifndef ZOO_PARAMS_CHANGED
#define ZOO_PARAMS_CHANGED zoo_params_changed
#endif
#ifndef ZOO_PARAM_INIT
#define ZOO_PARAM_INIT zoo_param_init
#endif
#ifndef ZOO_GRADIENTS
#define ZOO_GRADIENTS zoo_gradients
#endif
#ifndef ZOO_GX
#define ZOO_GX zoo_gx
#endif
#ifndef ZOO_FORWARD_TRAIN
#define ZOO_FORWARD_TRAIN zoo_forward_train
#endif
#ifndef ZOO_VJP
#define ZOO_VJP zoo_vjp
#endif
#ifndef ZOO_RELEASE_SAVED
#define ZOO_RELEASE_SAVED zoo_release_saved
#endif

static moec_status ZOO_BIND(moec_expert* expert, const moec_tensor* values,
                            const moec_tensor* grads, moec_error* error);
static moec_status ZOO_PARAMS_CHANGED(moec_expert* expert, moec_error* error);
static moec_status ZOO_PARAM_INIT(moec_expert* expert, uint64_t seed, moec_error* error);
static void ZOO_GRADIENTS(moec_expert* expert, const moec_batch* batch, const float* gy);
static void ZOO_GX(moec_expert* expert, const moec_batch* batch, const float* gy, float* gx);
static moec_status ZOO_FORWARD_TRAIN(moec_expert* expert, const moec_exec* exec,
                                     const moec_batch* batch, const moec_tensor* logits,
                                     moec_saved** saved, moec_error* error);
static moec_status ZOO_VJP(moec_expert* expert, const moec_exec* exec, moec_saved* saved,
                           const moec_tensor* gy, uint64_t gx_count, const moec_tensor* const* gx,
                           moec_error* error);

static inline moec_status zoo_vjp(moec_expert* expert, const moec_exec* exec, moec_saved* saved,
                                  const moec_tensor* gy, uint64_t gx_count,
                                  const moec_tensor* const* gx, moec_error* error) {
  (void)exec;
  if (expert == NULL || saved == NULL || gy == NULL || zoo_layer_of(expert)->weight_grad == NULL)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "vjp() needs a bound expert, saved and gy");
  ZOO_GRADIENTS(expert, saved->batch, (const float*)gy->data);
  if (gx_count > 0 && gx[0] != NULL)
    ZOO_GX(expert, saved->batch, (const float*)gy->data, (float*)gx[0]->data);
  return MOEC_OK;
}

static inline void zoo_release_saved(moec_expert* expert, moec_saved* saved) {
  (void)expert;
  free(saved);
}

static void ZOO_RELEASE_SAVED(moec_expert* expert, moec_saved* saved);

static const moec_ext_params zoo_params = {sizeof(moec_ext_params), zoo_param_count,
                                           zoo_param_describe,      ZOO_BIND,
                                           ZOO_PARAM_INIT,          ZOO_PARAMS_CHANGED};
static const moec_ext_train zoo_train = {sizeof(moec_ext_train), ZOO_FORWARD_TRAIN, ZOO_VJP,
                                         ZOO_RELEASE_SAVED};

static inline const void* zoo_layer_extension(const char* id) {
  if (strcmp(id, MOEC_EXT_PARAMS) == 0) return &zoo_params;
  if (strcmp(id, MOEC_EXT_TRAIN) == 0) return &zoo_train;
  return NULL;
}

#endif /* ZOO_LINEAR_H_ */
