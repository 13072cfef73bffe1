/* moecollab.encoder/1: the shared encoder's weights, for experts that fork from it. The host's own:
 * host->get_extension(host, MOEC_EXT_ENCODER); NULL if no encoder is set. */
#ifndef MOECOLLAB_EXT_ENCODER_H_
#define MOECOLLAB_EXT_ENCODER_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_ENCODER "moecollab.encoder/1"

/* What the host's get_extension(MOEC_EXT_ENCODER) gives. */
typedef struct moec_ext_encoder {
  uint32_t struct_size;
  /* A read-only view of the weight of that name, as in Hugging Face's BertModel without the prefix
   * "bert." ("encoder.layer.5.output.dense.weight"): float32 on the CPU, [out, in] for matrices.
   * Valid while any expert lives. MOEC_INVALID_ARGUMENT if there is none. [thread-safe] */
  moec_status (*weight)(const moec_host* host, moec_string name, moec_tensor* out,
                        moec_error* error);
} moec_ext_encoder;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_ENCODER_H_ */
