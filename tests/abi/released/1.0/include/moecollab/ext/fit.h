/* moecollab.fit/1: experts that train themselves (n-gram models, trees, anything). A host trains
 * one that has moecollab.train/1 by that.
 *
 * Order of calls: fit_begin, then for each epoch fit_batch … and fit_epoch_end, at last fit_end.
 * The host gives the same rows in every epoch, in an order and in batches of its own, one row to
 * max_batch each, and each of them counts. @rule fit-any-batches Separable texts are told apart
 * then better than by chance. @rule fit-learns forward() answers between epochs with what was
 * learnt so far. @rule fit-answers-between A fit_batch() that says MOEC_CANCELLED has learnt
 * nothing, and may come again; after any other call that says so, the host begins again.
 * @rule fit-cancelled The host may leave out epochs at the end, and begin again at any time.
 */
#ifndef MOECOLLAB_EXT_FIT_H_
#define MOECOLLAB_EXT_FIT_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_FIT "moecollab.fit/1"

/* What get_extension(MOEC_EXT_FIT) of a library gives; members are never NULL. */
typedef struct moec_ext_fit {
  uint32_t struct_size;
  /* Forgets what was learnt. @rule fit-forgets rows: texts per epoch. Equal seeds and calls, equal
   * bits. @rule fit-same-bits [one call per object] */
  moec_status (*fit_begin)(moec_expert* expert, const moec_exec* exec, int64_t rows,
                           int32_t max_epochs, uint64_t seed, moec_error* error);
  /* labels [n] int32 in [0, classes), some perhaps never; weights [n] float32 >= 0, and it learns
   * whatever their scale. @rule fit-any-scale A row of weight 0 teaches nothing. @rule fit-weights
   * [one call per object] */
  moec_status (*fit_batch)(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* labels, const moec_tensor* weights,
                           moec_error* error);
  /* Writes *want_more @rule want-more: 0 if another epoch would hardly change an answer, 1 if it
   * may. [one call per object] */
  moec_status (*fit_epoch_end)(moec_expert* expert, const moec_exec* exec, int32_t* want_more,
                               moec_error* error);
  /* Training is over; frees what only training needs, and changes no answer. @rule fit-end-keeps
   * [one call per object] */
  moec_status (*fit_end)(moec_expert* expert, moec_error* error);
} moec_ext_fit;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_FIT_H_ */
