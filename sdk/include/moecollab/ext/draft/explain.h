/* moecollab.draft.explain/1: what of a text speaks for a class. For people: a host shows it and
 * computes nothing with it. The library's own: table->get_extension(MOEC_EXT_EXPLAIN). A draft: it
 * promises nothing yet. */
#ifndef MOECOLLAB_EXT_DRAFT_EXPLAIN_H_
#define MOECOLLAB_EXT_DRAFT_EXPLAIN_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_EXPLAIN "moecollab.draft.explain/1"

/* A part of a row's text, in bytes [begin, end), and what it adds to the class's output beyond the
 * mean of what it adds to every class's; below 0: it speaks against the class. */
typedef struct moec_evidence {
  int64_t begin, end;
  double weight;
} moec_evidence;

/* What get_extension(MOEC_EXT_EXPLAIN) of a library gives; members are never NULL. */
typedef struct moec_ext_explain {
  uint32_t struct_size;
  /* Writes at most `most` pieces to `out`, the greatest magnitudes first, and to *count how many.
   * The batch has one row. MOEC_UNSUPPORTED if the expert has no weights yet. [one call per
   * object] */
  moec_status (*explain)(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                         int32_t label, int64_t most, moec_evidence* out, int64_t* count,
                         moec_error* error);
} moec_ext_explain;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_DRAFT_EXPLAIN_H_ */
