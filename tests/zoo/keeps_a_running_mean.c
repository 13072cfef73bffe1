/* forward_train() moves a mean that forward() subtracts, and that is neither a parameter nor state.
 * The expert answers otherwise after a pass without a step, and the package has no such mean. */
#define ZOO_FORWARD_TRAIN forward_train
#define ZOO_SCORE score
#define ZOO_SPARE expert->width
#include "zoo_linear.h"

static void score(const moec_expert* expert, const moec_batch* batch, int64_t row, float* out) {
  const zoo_layer* layer = zoo_layer_of(expert);
  const float *x = zoo_features(expert, batch, row), *mean = zoo_spare(expert);
  for (int32_t c = 0; c < expert->classes; ++c) {
    out[c] = layer->bias[c];
    for (int64_t i = 0; i < expert->width; ++i)
      out[c] += layer->weight[c * expert->width + i] * (x[i] - mean[i]);
  }
}

static moec_status forward_train(moec_expert* expert, const moec_exec* exec,
                                 const moec_batch* batch, const moec_tensor* logits,
                                 moec_saved** saved, moec_error* error) {
  const moec_status status = zoo_forward_train(expert, exec, batch, logits, saved, error);
  for (int64_t row = 0; status == MOEC_OK && row < batch->rows; ++row) {
    for (int64_t i = 0; i < expert->width; ++i)
      zoo_spare(expert)[i] += 0.01f * (zoo_features(expert, batch, row)[i] - zoo_spare(expert)[i]);
  }
  return status;
}
