/* moecollab.draft.device/1: experts that take tensors of another device than the CPU. The library's
 * own: table->get_extension(MOEC_EXT_DEVICE). Without it all tensors of a call are in the host's
 * memory. A draft: it promises nothing yet. */
#ifndef MOECOLLAB_EXT_DRAFT_DEVICE_H_
#define MOECOLLAB_EXT_DRAFT_DEVICE_H_

#include <moecollab/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOEC_EXT_DEVICE "moecollab.draft.device/1"

/* What get_extension(MOEC_EXT_DEVICE) of a library gives; members are never NULL. */
typedef struct moec_ext_device {
  uint32_t struct_size;
  /* 1 if the expert takes tensors of that kind of device (MOEC_CUDA, …), the same each time. Then,
   * if a call's exec names such a device, the tensors of its batch are there, and bind() may be
   * given storage there, for all values and gradients. The host's work on them is queued on exec's
   * stream, NULL being the device's default stream: the callee's work must come after it. Row ids,
   * offsets, texts, logits, gy and gx stay in the host's memory. [one call per object] */
  int32_t (*takes)(moec_expert* expert, int32_t device_type);
} moec_ext_device;

#ifdef __cplusplus
}
#endif
#endif /* MOECOLLAB_EXT_DRAFT_DEVICE_H_ */
