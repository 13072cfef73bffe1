/* A second bind() changes where values are read, but not where gradients go. They are written into
 * storage that the host has given back. */
#define ZOO_BIND bind
#include "zoo_linear.h"

static moec_status bind(moec_expert* expert, const moec_tensor* values, const moec_tensor* grads,
                        moec_error* error) {
  if (expert == NULL) return zoo_refuse(error, MOEC_INVALID_ARGUMENT, "the expert is null");
  zoo_layer* layer = zoo_layer_of(expert);
  float *weight_grad = layer->weight_grad, *bias_grad = layer->bias_grad;
  const moec_status status = zoo_bind(expert, values, grads, error);
  if (weight_grad != NULL) layer->weight_grad = weight_grad;
  if (bias_grad != NULL) layer->bias_grad = bias_grad;
  return status;
}
