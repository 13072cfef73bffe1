/* moecollab.params/1: live parameters whose storage the host owns.
 *
 * Order of calls: create → bind → init (or the host copies weights in) → params_changed → use.
 * Inference needs none of it: an expert that was created with weights works without bind, and
 * answers as the one did whose parameters (and state) these were. @rule params-are-weights
 */
#ifndef MOECOLLAB_EXT_PARAMS_H_
#define MOECOLLAB_EXT_PARAMS_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_PARAMS "moecollab.params/1"

/* One parameter: a float32 tensor. */
typedef struct moec_param_info {
  uint32_t struct_size;
  /* Also the tensor's name in weights.safetensors, not empty and no other's @rule param-names; the
   * expert's string. */
  moec_string name;
  int32_t ndim;
  const int64_t* shape; /* [ndim]; the expert's */
  uint32_t trainable;
  uint32_t decay; /* 1: weight decay makes sense (matrices, not biases) */
  /* Times the host's learning rate, > 0 @rule lr-scale; a new head learns faster than its base. */
  float lr_scale;
} moec_param_info;

/* What get_extension(MOEC_EXT_PARAMS) of a library gives; members are never NULL. */
typedef struct moec_ext_params {
  uint32_t struct_size;
  /* The same number in all the expert's life, as are the descriptions @rule params-fixed; 0 if it
   * has none. [one call per object] */
  uint64_t (*count)(moec_expert* expert);
  /* Parameter `index`, less than count(). [one call per object] */
  moec_status (*describe)(moec_expert* expert, uint64_t index, moec_param_info* out,
                          moec_error* error);
  /* From now on the expert reads values[i] and adds to grads[i] (float32, shapes of describe),
   * whose data is the host's and outlives the expert or the next bind(). @rule bind-storage The two
   * arrays are lent for the call. Nothing is read or written yet. @rule bind-touches-nothing May be
   * called again with other storage, and the old is left alone from then on. @rule bind-again
   * [one call per object] */
  moec_status (*bind)(moec_expert* expert, const moec_tensor* values, const moec_tensor* grads,
                      moec_error* error);
  /* Writes initial values into all of the bound storage @rule init-writes-all, from which steps
   * along gradients learn @rule init-learns; equal seeds, equal bits. @rule init-same-bits Nothing
   * else writes values. @rule values-are-the-hosts [one call per object] */
  moec_status (*init)(moec_expert* expert, uint64_t seed, moec_error* error);
  /* The host wrote values: drop what was derived from them. @rule params-changed It follows
   * init(); create() with weights is not followed by it.
   * [one call per object] */
  moec_status (*params_changed)(moec_expert* expert, moec_error* error);
} moec_ext_params;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_PARAMS_H_ */
