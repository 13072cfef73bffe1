/* forward() divides the bound weight by its greatest value, in place. The host's optimiser finds
 * other values than it wrote, and what it saves depends on whether anybody asked for an answer. */
#define ZOO_FORWARD forward
#include "zoo_linear.h"

static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  const int64_t count = expert == NULL ? 0 : expert->classes * expert->width;
  float* weight = count == 0 ? NULL : zoo_layer_of(expert)->weight;
  float greatest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float size = weight[i] < 0 ? -weight[i] : weight[i];
    if (size > greatest) greatest = size;
  }
  for (int64_t i = 0; i < count && greatest > 0; ++i) weight[i] /= greatest;
  return zoo_forward(expert, exec, batch, logits, error);
}
