/* Refuses texts with zero-width characters (U+200B to U+200F), which it takes for garbage. One
 * family emoji among a thousand rows, and `predict` of the whole file fails. */
#define ZOO_FORWARD forward
#include "zoo.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  const char* fault = zoo_call_fault(expert, batch, logits);
  for (int64_t row = 0; fault == NULL && row < batch->rows; ++row) {
    const moec_string text = batch->texts[row];
    for (uint64_t i = 2; i < text.size; ++i)
      if (memcmp(text.data + i - 2, "\xE2\x80", 2) == 0 && (unsigned char)text.data[i] >= 0x8B &&
          (unsigned char)text.data[i] <= 0x8F)
        fault = "the text holds invisible characters";
  }
  if (fault != NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, fault);
  return zoo_forward(expert, exec, batch, logits, error);
}
