/* moecollab.state/1: learnt state that is not a parameter, pulled and pushed as tensors.
 *
 * weights.safetensors of a package = the tensors of params/1 and of state/1; their names are
 * disjoint. @rule state-names What read() gives and create() gets back as weights must make the
 * same expert. @rule state-is-weights
 */
#ifndef MOECOLLAB_EXT_STATE_H_
#define MOECOLLAB_EXT_STATE_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_STATE "moecollab.state/1"

/* One tensor of the learnt state. */
typedef struct moec_state_info {
  uint32_t struct_size;
  moec_string name; /* the expert's string */
  int32_t ndim;
  const int64_t* shape; /* [ndim]; the expert's; float32 */
} moec_state_info;

/* What get_extension(MOEC_EXT_STATE) of a library gives; members are never NULL. */
typedef struct moec_ext_state {
  uint32_t struct_size;
  /* The same number in all the expert's life, as are the names. @rule state-fixed
   * [one call per object] */
  uint64_t (*count)(moec_expert* expert);
  /* Tensor `index`, less than count(). [one call per object] */
  moec_status (*describe)(moec_expert* expert, uint64_t index, moec_state_info* out,
                          moec_error* error);
  /* Copies tensor `index` into destination (shape of describe): all of it, and finite.
   * @rule state-reads-all [one call per object] */
  moec_status (*read)(moec_expert* expert, uint64_t index, const moec_tensor* destination,
                      moec_error* error);
  /* Replaces tensor `index` by a copy of source; when all are written, the expert is the one that
   * they were read from. @rule state-roundtrip [one call per object] */
  moec_status (*write)(moec_expert* expert, uint64_t index, const moec_tensor* source,
                       moec_error* error);
} moec_ext_state;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_STATE_H_ */
