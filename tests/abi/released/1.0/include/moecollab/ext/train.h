/* moecollab.train/1: forward passes that can be differentiated (with moecollab.params/1). */
#ifndef MOECOLLAB_EXT_TRAIN_H_
#define MOECOLLAB_EXT_TRAIN_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_TRAIN "moecollab.train/1"

typedef struct moec_saved moec_saved; /* what one forward_train keeps for its vjp; the expert's */

/* What get_extension(MOEC_EXT_TRAIN) of a library gives; members are never NULL. */
typedef struct moec_ext_train {
  uint32_t struct_size;
  /* As forward(), dropout and the like aside if exec->training is 1 @rule train-as-forward, and
   * gives *saved. Until it is released the batch stays valid and unchanged and parameters are not
   * written; the rest is lent for the call: what was drawn by its seed is kept in *saved. Any
   * number of saved contexts may live, of any number of experts. @rule saved-contexts Answers of
   * forward() stay as they were. @rule train-changes-nothing [one call per object] */
  moec_status (*forward_train)(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                               const moec_tensor* logits, moec_saved** saved, moec_error* error);
  /* Vector-Jacobian product for gy [n, classes], linear in it @rule vjp-linear: adds to the bound
   * parameter gradients, and does not replace them @rule vjp-adds; what it adds is what differences
   * give, or nothing if the parameter is not trainable. @rule vjp-params It *writes* the gradient
   * of every float input whose gx is not NULL. @rule vjp-inputs gx has one entry per float input in
   * the order of the batch: hidden of each layer, then pooled of each layer. A batch's gradients
   * are the sum of its rows'. @rule vjp-sums Once per saved context. [one call per object] */
  moec_status (*vjp)(moec_expert* expert, const moec_exec* exec, moec_saved* saved,
                     const moec_tensor* gy, uint64_t gx_count, const moec_tensor* const* gx,
                     moec_error* error);
  /* Takes saved, which may be NULL @rule release-null, with or without a vjp() before, in any
   * order. @rule release-any-order [one call per object] */
  void (*release_saved)(moec_expert* expert, moec_saved* saved);
} moec_ext_train;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_TRAIN_H_ */
