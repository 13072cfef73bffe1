/* The label whose training texts' mean features are nearest: an expert that fits itself (fit/1) and
 * gives what it learnt (state/1), and that does both right. Zoo files replace, besides the
 * functions of zoo.h:
 *
 *   ZOO_LEARN       learns one row
 *   ZOO_READ_STATE  copies one tensor out
 *   ZOO_GO_ON       asks the host whether to stop
 *   ZOO_FIT_BEGIN, ZOO_FIT_BATCH, ZOO_EPOCH_END, ZOO_FIT_END  whole
 *
 * Values: ZOO_STATE_COUNT, ZOO_SPARE (how many floats zoo_spare() gives, all 0 at first). C11. */
#ifndef ZOO_MEANS_H_
#define ZOO_MEANS_H_

#define ZOO_INPUTS MOEC_INPUT_POOLED
#define ZOO_TAKES_WEIGHTS 1
#ifndef ZOO_MAKE
#define ZOO_MAKE zoo_make_means
#endif
#ifndef ZOO_SCORE
#define ZOO_SCORE zoo_score_means
#endif
#define ZOO_GET_EXTENSION zoo_means_extension
#include <moecollab/ext/fit.h>
#include <moecollab/ext/state.h>

#include "zoo.h"

#ifndef ZOO_STATE_COUNT
#define ZOO_STATE_COUNT 2
#endif
#ifndef ZOO_SPARE
#define ZOO_SPARE 0
#endif

/* The tensors of state/1: sums [classes, width] of features, totals [classes] of weights. */
typedef struct zoo_means {
  float* tensor[2];
  int64_t size[2];
  int64_t shape[2]; /* of the sums; the first one is that of the totals */
  float values[];
} zoo_means;

static const moec_string zoo_state_names[] = {ZOO_STRING("sums"), ZOO_STRING("totals")};

static inline zoo_means* zoo_means_of(const moec_expert* expert) { return (zoo_means*)expert->own; }

static inline int64_t zoo_value_count(const moec_expert* expert) {
  return expert->classes * (expert->width + 1);
}

static inline float* zoo_spare(const moec_expert* expert) {
  return zoo_means_of(expert)->values + zoo_value_count(expert);
}

/* --- making it -------------------------------------------------------------------------------- */

static inline int zoo_has_state_shape(const zoo_means* means, const moec_tensor* tensor,
                                      int index) {
  return tensor != NULL && tensor->ndim == 2 - index && tensor->shape[0] == means->shape[0] &&
         (index == 1 || tensor->shape[1] == means->shape[1]);
}

static inline moec_status zoo_make_means(moec_expert* expert, const moec_create_info* info,
                                         moec_error* error) {
  const int64_t sums = expert->classes * expert->width;
  const int64_t count = zoo_value_count(expert) + ZOO_SPARE;
  zoo_means* means = (zoo_means*)calloc(1, sizeof(zoo_means) + (size_t)count * sizeof(float));
  if (means == NULL) return zoo_refuse(error, MOEC_OUT_OF_MEMORY, "out of memory");
  expert->own = means;
  means->tensor[0] = means->values;
  means->tensor[1] = means->values + sums;
  means->size[0] = sums;
  means->size[1] = expert->classes;
  means->shape[0] = expert->classes;
  means->shape[1] = expert->width;
  for (int i = 0; i < ZOO_STATE_COUNT && info->weight_count != 0; ++i) {
    const moec_tensor* weight = zoo_find_weight(info, zoo_state_names[i].data);
    if (!zoo_has_state_shape(means, weight, i))
      return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "weights are missing or have another shape");
    memcpy(means->tensor[i], weight->data, (size_t)means->size[i] * sizeof(float));
  }
  return MOEC_OK;
}

/* --- running it ------------------------------------------------------------------------------- */

/* Half the squared distance to the mean, without the part that is the same for all classes. */
static inline void zoo_score_means(const moec_expert* expert, const moec_batch* batch, int64_t row,
                                   float* out) {
  const zoo_means* means = zoo_means_of(expert);
  const float* x = zoo_features(expert, batch, row);
  for (int32_t c = 0; c < expert->classes; ++c) {
    const float total = means->tensor[1][c];
    out[c] = 0;
    for (int64_t i = 0; i < expert->width && total > 0; ++i) {
      const float mean = means->tensor[0][c * expert->width + i] / total;
      out[c] += x[i] * mean - 0.5f * mean * mean;
    }
  }
}

/* --- fit/1 ------------------------------------------------------------------------------------ */

static inline void zoo_learn(moec_expert* expert, const float* x, int32_t label, float weight) {
  zoo_means* means = zoo_means_of(expert);
  means->tensor[1][label] += weight;
  for (int64_t i = 0; i < expert->width; ++i)
    means->tensor[0][label * expert->width + i] += weight * x[i];
}

static inline moec_status zoo_go_on(moec_expert* expert, moec_error* error) {
  if (expert->host != NULL && expert->host->should_stop(expert->host))
    return zoo_refuse(error, MOEC_CANCELLED, "cancelled by the host");
  return MOEC_OK;
}

#ifndef ZOO_LEARN
#define ZOO_LEARN zoo_learn
#endif
#ifndef ZOO_GO_ON
#define ZOO_GO_ON zoo_go_on
#endif
static void ZOO_LEARN(moec_expert* expert, const float* x, int32_t label, float weight);
static moec_status ZOO_GO_ON(moec_expert* expert, moec_error* error);

static inline moec_status zoo_fit_begin(moec_expert* expert, const moec_exec* exec, int64_t rows,
                                        int32_t max_epochs, uint64_t seed, moec_error* error) {
  (void)exec;
  (void)seed;
  if (expert == NULL || rows < 1 || max_epochs < 0)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "fit_begin() needs an expert and rows");
  memset(zoo_means_of(expert)->values, 0, (size_t)zoo_value_count(expert) * sizeof(float));
  return MOEC_OK;
}

static inline moec_status zoo_fit_batch(moec_expert* expert, const moec_exec* exec,
                                        const moec_batch* batch, const moec_tensor* labels,
                                        const moec_tensor* weights, moec_error* error) {
  (void)exec;
  const char* fault = zoo_batch_fault(expert, batch);
  if (fault == NULL && (labels == NULL || labels->type_code != MOEC_INT || weights == NULL))
    fault = "fit_batch() needs labels and weights";
  if (fault != NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  const moec_status status = ZOO_GO_ON(expert, error);
  if (status != MOEC_OK) return status;
  for (int64_t row = 0; row < batch->rows; ++row) {
    const int32_t label = ((const int32_t*)labels->data)[row];
    if (label < 0 || label >= expert->classes)
      return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "a label outside [0, classes)");
    ZOO_LEARN(expert, zoo_features(expert, batch, row), label, ((const float*)weights->data)[row]);
  }
  return MOEC_OK;
}

static inline moec_status zoo_fit_epoch_end(moec_expert* expert, const moec_exec* exec,
                                            int32_t* want_more, moec_error* error) {
  (void)exec;
  if (expert == NULL || want_more == NULL)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "fit_epoch_end() needs a place to answer");
  *want_more = 0; /* means need one pass */
  return ZOO_GO_ON(expert, error);
}

static inline moec_status zoo_fit_end(moec_expert* expert, moec_error* error) {
  (void)expert;
  (void)error;
  return MOEC_OK;
}

#ifndef ZOO_FIT_BEGIN
#define ZOO_FIT_BEGIN zoo_fit_begin
#endif
#ifndef ZOO_FIT_BATCH
#define ZOO_FIT_BATCH zoo_fit_batch
#endif
#ifndef ZOO_EPOCH_END
#define ZOO_EPOCH_END zoo_fit_epoch_end
#endif
#ifndef ZOO_FIT_END
#define ZOO_FIT_END zoo_fit_end
#endif
static moec_status ZOO_FIT_BEGIN(moec_expert* expert, const moec_exec* exec, int64_t rows,
                                 int32_t max_epochs, uint64_t seed, moec_error* error);
static moec_status ZOO_FIT_BATCH(moec_expert* expert, const moec_exec* exec,
                                 const moec_batch* batch, const moec_tensor* labels,
                                 const moec_tensor* weights, moec_error* error);
static moec_status ZOO_EPOCH_END(moec_expert* expert, const moec_exec* exec, int32_t* want_more,
                                 moec_error* error);
static moec_status ZOO_FIT_END(moec_expert* expert, moec_error* error);

/* --- state/1 ---------------------------------------------------------------------------------- */

static inline uint64_t zoo_state_count(moec_expert* expert) {
  (void)expert;
  return ZOO_STATE_COUNT;
}

static inline moec_status zoo_state_describe(moec_expert* expert, uint64_t index,
                                             moec_state_info* out, moec_error* error) {
  if (expert == NULL || out == NULL || index >= ZOO_STATE_COUNT)
    return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "there is no such tensor");
  const moec_state_info info = {out->struct_size, zoo_state_names[index], index == 0 ? 2 : 1,
                                zoo_means_of(expert)->shape};
  memcpy(out, &info, out->struct_size < sizeof(info) ? out->struct_size : sizeof(info));
  return MOEC_OK;
}

static inline const char* zoo_state_fault(const moec_expert* expert, uint64_t index,
                                          const moec_tensor* tensor) {
  if (expert == NULL || index >= ZOO_STATE_COUNT) return "there is no such tensor";
  if (!zoo_has_state_shape(zoo_means_of(expert), tensor, (int)index))
    return "the tensor has another shape";
  return NULL;
}

static inline void zoo_read_state(const moec_expert* expert, uint64_t index, float* destination) {
  const zoo_means* means = zoo_means_of(expert);
  memcpy(destination, means->tensor[index], (size_t)means->size[index] * sizeof(float));
}

#ifndef ZOO_READ_STATE
#define ZOO_READ_STATE zoo_read_state
#endif
static void ZOO_READ_STATE(const moec_expert* expert, uint64_t index, float* destination);

static inline moec_status zoo_state_read(moec_expert* expert, uint64_t index,
                                         const moec_tensor* destination, moec_error* error) {
  const char* fault = zoo_state_fault(expert, index, destination);
  if (fault != NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  ZOO_READ_STATE(expert, index, (float*)destination->data);
  return MOEC_OK;
}

static inline moec_status zoo_state_write(moec_expert* expert, uint64_t index,
                                          const moec_tensor* source, moec_error* error) {
  const char* fault = zoo_state_fault(expert, index, source);
  if (fault != NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  const zoo_means* means = zoo_means_of(expert);
  memcpy(means->tensor[index], source->data, (size_t)means->size[index] * sizeof(float));
  return MOEC_OK;
}

static const moec_ext_fit zoo_fit = {sizeof(moec_ext_fit), ZOO_FIT_BEGIN, ZOO_FIT_BATCH,
                                     ZOO_EPOCH_END, ZOO_FIT_END};
static const moec_ext_state zoo_state = {sizeof(moec_ext_state), zoo_state_count,
                                         zoo_state_describe, zoo_state_read, zoo_state_write};

static inline const void* zoo_means_extension(const char* id) {
  if (strcmp(id, MOEC_EXT_FIT) == 0) return &zoo_fit;
  if (strcmp(id, MOEC_EXT_STATE) == 0) return &zoo_state;
  return NULL;
}

#endif /* ZOO_MEANS_H_ */
